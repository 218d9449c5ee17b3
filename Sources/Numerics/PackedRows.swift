import CKernels

/// The vectors of a processor that products with frozen rows may use. All give the same bits.
package enum VectorKind: Int32, Sendable, CaseIterable {
    case avx512, avx2, plain

    /// Whether this processor has them.
    package var isSupported: Bool { letter_has_vectors(rawValue) != 0 }

    /// Those that this processor has, the widest first.
    package static let supported = allCases.filter(\.isSupported)
    /// The widest that this processor has.
    package static let widest = supported.first ?? .plain
}

/// Floats at a multiple of 64 bytes, where no vector spans two cache lines.
///
/// Unchecked Sendable: `PackedRows` writes one before anybody else sees it, `Panels` is of one thread at a time.
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

/// Columns of numbers, (rows, columns), in panels of 32: the form in which `PackedRows` multiplies them. Scratch memory
/// of one thread.
package final class Panels {
    /// Columns of a panel.
    package static let width = Int(LETTER_PANEL)

    /// Numbers of a column.
    package private(set) var rows = 0
    /// Columns in use; the rest of the last panel holds anything.
    package private(set) var columns = 0
    private var storage: AlignedFloats

    /// Panels in use.
    var count: Int { (columns + Self.width - 1) / Self.width }
    var pointer: UnsafeMutablePointer<Float> { storage.pointer }

    /// Room for so many numbers in so many columns each. O(rows · columns).
    package init(rows: Int, columns: Int) {
        storage = AlignedFloats(count: Self.floats(rows, columns), repeating: 0)
        (self.rows, self.columns) = (rows, columns)
    }

    /// Numbers of a panel: `PackedRows` writes whole blocks.
    private static func panelCount(_ rows: Int) -> Int {
        (rows + PackedRows.block - 1) / PackedRows.block * PackedRows.block * width
    }

    private static func floats(_ rows: Int, _ columns: Int) -> Int {
        (columns + width - 1) / width * panelCount(rows)
    }

    /// Where a column begins; its numbers are `width` apart.
    private func start(_ column: Int) -> UnsafeMutablePointer<Float> {
        pointer + column / Self.width * Self.panelCount(rows) + column % Self.width
    }

    /// Changes the size; the numbers are then unspecified. Allocates only to grow beyond its greatest size so far.
    package func resize(rows: Int, columns: Int) {
        let floats = Self.floats(rows, columns)
        if floats > storage.count { storage = AlignedFloats(count: floats, repeating: 0) }
        (self.rows, self.columns) = (rows, columns)
    }

    /// Makes each row of a matrix a column. O(elements).
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

    /// Appends the columns, one after the other, to an array. O(elements).
    package func appendColumns(to output: inout [Float]) {
        for column in 0..<columns {
            let source = start(column)
            for row in 0..<rows { output.append(source[row * Self.width]) }
        }
    }

    /// Subtracts from column i the row of `table` that `indices[i]` names: the residuals that a level leaves.
    ///
    /// - Precondition: rows of the table have as many numbers as a column; there is an index for each column.
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

    /// Appends ‖column‖² of every column, summed in the order of the rows, to an array.
    package func appendSquaredNorms(to output: inout [Float]) {
        for column in 0..<columns {
            let source = start(column)
            var sum: Float = 0
            for row in 0..<rows { sum += source[row * Self.width] * source[row * Self.width] }
            output.append(sum)
        }
    }
}

/// Rows that many columns are multiplied with and that never change: the weights of a frozen layer, or a codebook.
///
/// They are laid out once for the processor's vectors, and every sum is taken by fused multiply-adds in the order of its
/// terms, from an offset on. So a result depends on its row and its column alone: it has the same bits whatever other
/// columns there are, on any number of threads and on every processor.
package struct PackedRows: Sendable {
    /// How sums are taken: another name means that last bits may differ.
    package static let arithmetic = "fma"

    /// Rows that are laid out together.
    fileprivate static let block = Int(LETTER_BLOCK)

    /// How many rows there are, and how many numbers each has.
    package let rows: Int
    package let columns: Int
    private let values: AlignedFloats
    private let offsets: AlignedFloats

    /// Lays out the rows of a matrix, with a number that each one's products begin with. O(elements).
    ///
    /// - Precondition: rows are not empty, and there is an offset for each.
    package init(_ matrix: Matrix, offsets: [Float]) {
        precondition(matrix.columns > 0, "rows have numbers")
        precondition(offsets.count == matrix.rows, "there are \(offsets.count) offsets for \(matrix.rows) rows")
        (rows, columns) = (matrix.rows, matrix.columns)
        let block = Self.block
        let blocks = (rows + block - 1) / block
        values = AlignedFloats(count: blocks * block * columns, repeating: 0)
        // What fills the last block up is nobody's nearest.
        self.offsets = AlignedFloats(count: blocks * block, repeating: .infinity)
        for (row, offset) in offsets.enumerated() {
            self.offsets.pointer[row] = offset
            for (column, value) in matrix.row(row).enumerated() {
                values.pointer[(row / block * columns + column) * block + row % block] = value
            }
        }
    }

    /// output ← rows · input + offsets, (rows, columns of the input); negative ones replaced by 0 with `rectify`.
    ///
    /// 2 · rows · columns operations a column. NaN stays NaN.
    ///
    /// - Precondition: the input's columns have as many numbers as a row; the output is another object.
    package func multiply(
        _ input: Panels, rectify: Bool = false, into output: Panels, by kind: VectorKind = .widest
    ) {
        precondition(input.rows == columns && input !== output, "columns of \(input.rows), rows of \(columns) numbers")
        output.resize(rows: rows, columns: input.columns)
        letter_layer(
            kind.rawValue, values.pointer, offsets.pointer, rows, columns, input.pointer, output.pointer, input.count,
            rectify ? 1 : 0)
    }

    /// For each column of the input finds the row of least product + offset.
    ///
    /// Where the rows are −2 · codebook and the offsets ‖e‖² that is the nearest code of each residual. The lowest row wins
    /// a tie. The margin is the second least minus the least: the gap of squared distances (infinite where there is one
    /// row). Both arrays are made as long as the input's panels and may end in entries that mean nothing.
    ///
    /// - Precondition: the input's columns have as many numbers as a row; there is a row.
    package func nearest(
        to input: Panels, indices: inout [Int32], margins: inout [Float], by kind: VectorKind = .widest
    ) {
        precondition(input.rows == columns && rows > 0, "columns of \(input.rows), rows of \(columns) numbers")
        let length = input.count * Panels.width
        if indices.count != length { indices = [Int32](repeating: 0, count: length) }
        if margins.count != length { margins = [Float](repeating: 0, count: length) }
        indices.withUnsafeMutableBufferPointer { indices in
            margins.withUnsafeMutableBufferPointer { margins in
                guard let indices = indices.baseAddress, let margins = margins.baseAddress else { return }
                letter_nearest(
                    kind.rawValue, values.pointer, offsets.pointer, rows, columns, input.pointer, input.count, indices,
                    margins)
            }
        }
    }
}
