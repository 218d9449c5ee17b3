import CKernels

/// Floats whose address is a multiple of 64 bytes, so that no SIMD register is loaded from two cache lines.
///
/// Unchecked Sendable: `PackedRows` writes them before it shares them and never again, and `Panels` is used by one thread at
/// a time.
final class AlignedFloats: @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Float>
    let count: Int

    init(count: Int, repeating value: Float) {
        self.count = count
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: max(1, count) * 4, alignment: 64)
        pointer = bytes.bindMemory(to: Float.self, capacity: max(1, count))
        pointer.initialize(repeating: value, count: max(1, count))
    }

    deinit { UnsafeMutableRawPointer(pointer).deallocate() }
}

/// A matrix (rows, columns) stored in panels of 32 columns: the layout that `PackedRows` multiplies. Scratch memory of one
/// thread.
package final class Panels {
    /// Columns in a panel.
    package static let width = Int(LETTER_PANEL)

    /// Elements in a column.
    package private(set) var rows = 0
    /// Columns in use; the others of the last panel hold unspecified values.
    package private(set) var columns = 0
    private var storage: AlignedFloats

    /// Panels in use.
    var count: Int { (columns + Self.width - 1) / Self.width }
    var pointer: UnsafeMutablePointer<Float> { storage.pointer }

    /// Zeros. O(rows · columns).
    package init(rows: Int, columns: Int) {
        storage = AlignedFloats(count: Self.floats(rows, columns), repeating: 0)
        (self.rows, self.columns) = (rows, columns)
    }

    /// Floats in a panel: the rows are rounded up, because `PackedRows` writes whole blocks.
    private static func panelCount(_ rows: Int) -> Int {
        (rows + PackedRows.block - 1) / PackedRows.block * PackedRows.block * width
    }

    private static func floats(_ rows: Int, _ columns: Int) -> Int {
        (columns + width - 1) / width * panelCount(rows)
    }

    /// The first element of a column; the others follow at a distance of `width`.
    private func start(_ column: Int) -> UnsafeMutablePointer<Float> {
        pointer + column / Self.width * Self.panelCount(rows) + column % Self.width
    }

    /// Changes the size; the elements are unspecified afterwards. Allocates only if the new size is the largest so far.
    package func resize(rows: Int, columns: Int) {
        let floats = Self.floats(rows, columns)
        if floats > storage.count { storage = AlignedFloats(count: floats, repeating: 0) }
        (self.rows, self.columns) = (rows, columns)
    }

    /// Becomes the transpose of a matrix: row i is column i of the panels. O(elements).
    package func set(_ matrix: Matrix) {
        resize(rows: matrix.columns, columns: matrix.rows)
        let (rows, width) = (rows, Self.width)
        matrix.withPointer { source, _ in
            for column in 0..<count * width {
                let target = start(column)
                let from = source + column * rows
                if column < columns {
                    for row in 0..<rows { target[row * width] = from[row] }
                } else {
                    for row in 0..<rows { target[row * width] = 0 }
                }
            }
        }
    }

    /// Appends the columns, one after another, to an array. O(elements).
    package func appendColumns(to output: inout [Float]) {
        for column in 0..<columns {
            let source = start(column)
            for row in 0..<rows { output.append(source[row * Self.width]) }
        }
    }

    /// Subtracts row `indices[i]` of `table` from column i: the residuals after a level of the codebook `table`. O(elements).
    ///
    /// - Precondition: a row of the table is as long as a column; there is an index for each column, and all are rows.
    package func subtract(_ table: Matrix, at indices: [Int32]) {
        precondition(indices.count >= columns && table.columns == rows, "sizes differ")
        let (rows, width) = (rows, Self.width)
        table.withPointer { table, count in
            for column in 0..<columns {
                let index = Int(indices[column])
                precondition(index >= 0 && (index + 1) * rows <= count, "row out of range")
                let target = start(column)
                for row in 0..<rows { target[row * width] -= table[index * rows + row] }
            }
        }
    }

    /// Appends ‖column‖² of every column to an array. The squares are added in the order of the rows. O(elements).
    package func appendSquaredNorms(to output: inout [Float]) {
        for column in 0..<columns {
            let source = start(column)
            var sum: Float = 0
            for row in 0..<rows { sum += source[row * Self.width] * source[row * Self.width] }
            output.append(sum)
        }
    }
}

/// A matrix that is multiplied with many columns and never changes: the weights of a frozen layer, or a codebook.
///
/// The rows are laid out once, in blocks that fit the CPU's registers. Every element of a product is a chain of fused
/// multiply-adds that starts at an offset and takes the terms in order: the bits of a result depend on its row and its column
/// alone, and not on the other columns, the number of threads or the CPU.
package struct PackedRows: Sendable {
    /// The name of the way in which sums are computed. Products of another name may differ in their last bits.
    package static let arithmetic = "fma"

    /// Rows in a block.
    fileprivate static let block = Int(LETTER_BLOCK)

    /// Number of rows.
    package let rows: Int
    /// Number of elements in a row.
    package let columns: Int
    private let values: AlignedFloats
    private let offsets: AlignedFloats

    /// Lays out the rows of a matrix, with one offset for each row that its products start from. O(elements).
    ///
    /// - Precondition: rows are not empty, and there is an offset for each.
    package init(_ matrix: Matrix, offsets: [Float]) {
        precondition(matrix.columns > 0, "the rows are empty")
        precondition(offsets.count == matrix.rows, "there are \(offsets.count) offsets for \(matrix.rows) rows")
        (rows, columns) = (matrix.rows, matrix.columns)
        let block = Self.block
        let blocks = (rows + block - 1) / block
        values = AlignedFloats(count: blocks * block * columns, repeating: 0)
        // Infinite, so that the rows which fill the last block are never the nearest.
        self.offsets = AlignedFloats(count: blocks * block, repeating: .infinity)
        for (row, offset) in offsets.enumerated() {
            self.offsets.pointer[row] = offset
            for (column, value) in matrix.row(row).enumerated() {
                values.pointer[(row / block * columns + column) * block + row % block] = value
            }
        }
    }

    /// output ← rows · input + offsets, (rows, columns of the input); with `rectify`, negative results become 0. NaN stays
    /// NaN. 2 · rows · columns operations for each column of the input.
    ///
    /// - Precondition: a column of the input is as long as a row; the output is another object.
    package func multiply(
        _ input: Panels, rectify: Bool = false, into output: Panels, by width: SIMDWidth = .widest
    ) {
        precondition(input.rows == columns && input !== output, "columns of \(input.rows) elements, rows of \(columns)")
        output.resize(rows: rows, columns: input.columns)
        letter_layer(
            width.rawValue, values.pointer, offsets.pointer, rows, columns, input.pointer, output.pointer, input.count,
            rectify ? 1 : 0)
    }

    /// Finds for each column of the input the row with the least product + offset. 2 · rows · columns operations for each
    /// column of the input.
    ///
    /// If the rows are −2e for the codes e of a codebook and the offsets ‖e‖², that row is the nearest code of each residual.
    /// The lowest row wins a tie. The margin is the second least minus the least, which is the difference of the squared
    /// distances (infinite if there is one row). Both arrays become as long as the panels of the input are wide; entries past
    /// the input's columns are unspecified.
    ///
    /// - Precondition: a column of the input is as long as a row; there is a row.
    package func nearest(
        to input: Panels, indices: inout [Int32], margins: inout [Float], by width: SIMDWidth = .widest
    ) {
        precondition(input.rows == columns && rows > 0, "columns of \(input.rows) elements, rows of \(columns)")
        let length = input.count * Panels.width
        if indices.count != length { indices = [Int32](repeating: 0, count: length) }
        if margins.count != length { margins = [Float](repeating: 0, count: length) }
        indices.withUnsafeMutableBufferPointer { indices in
            margins.withUnsafeMutableBufferPointer { margins in
                guard let indices = indices.baseAddress, let margins = margins.baseAddress else { return }
                letter_nearest(
                    width.rawValue, values.pointer, offsets.pointer, rows, columns, input.pointer, input.count, indices,
                    margins)
            }
        }
    }
}
