import Numerics
import TestSupport
import Testing

/// Products of frozen rows, compared bit by bit.
@Suite struct PackedRowsTests {
    /// Rows, columns as rows of a matrix, and offsets.
    private struct Problem {
        let rows: Matrix
        let columns: Matrix
        let offsets: [Float]

        init(rows: Int, width: Int, columns: Int, seed: UInt64) {
            var random = SeededGenerator(seed: seed)
            self.rows = Matrix(rows: rows, columns: width, random.vector(rows * width))
            self.columns = Matrix(rows: columns, columns: width, random.vector(columns * width))
            offsets = random.vector(rows)
        }

        var packed: PackedRows { PackedRows(rows, offsets: offsets) }

        var panels: Panels {
            let panels = Panels(rows: 0, columns: 0)
            panels.set(columns)
            return panels
        }

        /// The product by fused multiply-adds in the order of the terms, starting from the offset.
        func value(_ row: Int, _ column: Int) -> Float {
            (0..<rows.columns).reduce(offsets[row]) { $0.addingProduct(rows[row, $1], columns[column, $1]) }
        }
    }

    private static let sizes = [
        (1, 1, 1), (12, 384, 32), (13, 385, 33), (5, 7, 31), (256, 32, 70), (40, 1_000, 100), (24, 768, 64),
        (3, 769, 2),
    ]

    @Test(arguments: SIMDWidth.supported)
    func `products have the bits of one fused multiply-add after another`(simd: SIMDWidth) {
        for (seed, (rows, width, columns)) in Self.sizes.enumerated() {
            let problem = Problem(rows: rows, width: width, columns: columns, seed: UInt64(seed))
            for rectify in [false, true] {
                // Earlier contents of the output must not matter.
                let output = Panels(rows: 0, columns: 0)
                output.set(Matrix(rows: 40, columns: 300, [Float](repeating: .nan, count: 12_000)))
                problem.packed.multiply(problem.panels, rectify: rectify, into: output, by: simd)
                #expect(output.rows == rows && output.columns == columns)
                var found: [Float] = []
                output.appendColumns(to: &found)
                let expected = (0..<columns).flatMap { column in
                    (0..<rows).map { row in
                        let value = problem.value(row, column)
                        return rectify && value < 0 ? 0 : value
                    }
                }
                #expect(found.map(\.bitPattern) == expected.map(\.bitPattern), "\(rows) × \(width) × \(columns)")
            }
        }
    }

    @Test(arguments: SIMDWidth.supported)
    func `the nearest row is the first of the least, and the margin is the distance to the second least`(
        simd: SIMDWidth
    ) {
        for (seed, (rows, width, columns)) in Self.sizes.enumerated() {
            let problem = Problem(rows: rows, width: width, columns: columns, seed: 50 + UInt64(seed))
            var (indices, margins) = ([Int32](), [Float]())
            problem.packed.nearest(to: problem.panels, indices: &indices, margins: &margins, by: simd)
            for column in 0..<columns {
                let values = (0..<rows).map { problem.value($0, column) }
                let order = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
                #expect(Int(indices[column]) == order[0])
                #expect(margins[column] == (rows > 1 ? values[order[1]] : .infinity) - values[order[0]])
            }
        }
    }

    @Test(arguments: SIMDWidth.supported) func `the lowest of equal rows is the nearest, with a margin of zero`(
        simd: SIMDWidth
    ) {
        let rows = Matrix(rows: 30, columns: 2, [Float](repeating: 1, count: 60))
        let offsets = (0..<30).map { [7, 19, 29].contains($0) ? Float(-1) : 0 }
        let columns = Panels(rows: 0, columns: 0)
        columns.set(Matrix(rows: 40, columns: 2, [Float](repeating: 0.5, count: 80)))
        var (indices, margins) = ([Int32](), [Float]())
        PackedRows(rows, offsets: offsets).nearest(to: columns, indices: &indices, margins: &margins, by: simd)
        #expect(indices.prefix(40).allSatisfy { $0 == 7 })
        #expect(margins.prefix(40).allSatisfy { $0 == 0 })
    }

    @Test(arguments: SIMDWidth.supported)
    func `values that are not finite affect their own column only, and ReLU keeps NaN`(simd: SIMDWidth) {
        let problem = Problem(rows: 20, width: 400, columns: 40, seed: 3)
        var spoilt = problem.columns
        spoilt[5, 399] = .nan
        spoilt[38, 0] = .infinity
        let (clean, other) = (Panels(rows: 0, columns: 0), Panels(rows: 0, columns: 0))
        problem.packed.multiply(problem.panels, rectify: true, into: clean, by: simd)
        let panels = Panels(rows: 0, columns: 0)
        panels.set(spoilt)
        problem.packed.multiply(panels, rectify: true, into: other, by: simd)
        var (expected, found) = ([Float](), [Float]())
        clean.appendColumns(to: &expected)
        other.appendColumns(to: &found)
        for column in 0..<40 where column != 38 {
            let range = (column * 20)..<(column * 20 + 20)
            if column == 5 {
                #expect(found[range].allSatisfy { $0.isNaN })
            } else {
                #expect(found[range] == expected[range])
            }
        }
    }

    @Test func `residuals and norms of columns are those of the rows that were stored as columns`() {
        let problem = Problem(rows: 6, width: 5, columns: 37, seed: 4)
        let panels = problem.panels
        let indices = (0..<37).map { Int32($0 % 6) }
        panels.subtract(problem.rows, at: indices)
        var (columns, norms) = ([Float](), [Float]())
        panels.appendColumns(to: &columns)
        panels.appendSquaredNorms(to: &norms)
        for column in 0..<37 {
            let expected = (0..<5).map { problem.columns[column, $0] - problem.rows[column % 6, $0] }
            #expect(Array(columns[(column * 5)..<(column * 5 + 5)]) == expected)
            #expect(norms[column] == expected.reduce(0) { $0 + $1 * $1 })
        }
    }
}
