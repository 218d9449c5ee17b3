import Numerics
import Testing

/// Strided views, and products of batches of them, against loops in double.
@Suite struct MatrixViewTests {
    /// Element (row, column) of matrix `index` of a batch, by the definition of a view.
    private func element(_ matrix: Matrix, _ view: MatrixView, _ index: Int, _ row: Int, _ column: Int) -> Double {
        let (i, j) = (index / view.inner.count, index % view.inner.count)
        return Double(
            matrix.values[
                view.offset + i * view.outer.stride + j * view.inner.stride + row * view.stride + column])
    }

    private func matrix(_ rows: Int, _ columns: Int, _ random: inout Random) -> Matrix {
        random.normalMatrix(rows: rows, columns: columns, deviation: 1)
    }

    /// Expects C ← 1.5 op(A) op(B) + β C for every matrix, and elements outside the view as they were.
    private func check(
        _ a: Matrix, _ viewA: MatrixView, _ transposeA: Bool, _ b: Matrix, _ viewB: MatrixView, _ transposeB: Bool,
        _ c: Matrix, _ viewC: MatrixView, beta: Float
    ) {
        var result = c
        BLAS.multiply(
            a, at: viewA, transposeA: transposeA, b, at: viewB, transposeB: transposeB, alpha: 1.5, beta: beta,
            into: &result, at: viewC)
        let inner = transposeA ? viewA.rows : viewA.columns
        var seen = 0
        for index in 0..<viewC.count {
            for row in 0..<viewC.rows {
                for column in 0..<viewC.columns {
                    let product = (0..<inner).reduce(0.0) { sum, k in
                        sum
                            + element(a, viewA, index, transposeA ? k : row, transposeA ? row : k)
                            * element(b, viewB, index, transposeB ? column : k, transposeB ? k : column)
                    }
                    let before = element(c, viewC, index, row, column)
                    let expected = 1.5 * product + (beta == 0 ? 0 : Double(beta) * before)
                    #expect(abs(element(result, viewC, index, row, column) - expected) < 1e-4)
                    seen += 1
                }
            }
        }
        #expect(seen == viewC.elements)
        let changed = zip(result.values, c.values).count { $0.bitPattern != $1.bitPattern }
        #expect(changed <= seen)
    }

    @Test(
        "products of batches agree with the definition, for every order and any number of threads",
        arguments: [false, true], [1, 2, 3])
    func products(transposes: Bool, threads: Int) {
        var random = Random(seed: 5)
        for (m, n, k, examples, heads) in [
            (1, 1, 1, 1, 1), (3, 5, 7, 2, 3), (17, 9, 4, 3, 1), (20, 20, 16, 4, 6), (70, 33, 65, 1, 1), (4, 3, 0, 2, 2),
        ] {
            let (rowsA, columnsA) = transposes ? (k, m) : (m, k)
            let (rowsB, columnsB) = transposes ? (n, k) : (k, n)
            let a = matrix(examples * rowsA, heads * columnsA + 3, &random)
            let b = matrix(examples * heads * rowsB, columnsB, &random)
            var c = matrix(examples * m, heads * n + 2, &random)
            let viewA = MatrixView.heads(
                heads, width: columnsA, examples: examples, rows: rowsA, stride: a.columns, firstColumn: 3)
            let viewB = MatrixView.stacked(heads, examples: examples, rows: rowsB, columns: columnsB)
            let viewC = MatrixView.heads(heads, width: n, examples: examples, rows: m, stride: c.columns)
            Parallel.withThreads(threads) {
                check(a, viewA, transposes, b, viewB, transposes, c, viewC, beta: 0.5)
                c.fill(.nan)
                check(a, viewA, transposes, b, viewB, transposes, c, viewC, beta: 0)
            }
        }
    }

    @Test("products of a batch have the same bits on any number of threads") func threads() {
        var random = Random(seed: 6)
        let (examples, heads) = (5, 3)
        let (q, k) = (matrix(examples * 60, heads * 64, &random), matrix(examples * 60, heads * 64, &random))
        let view = MatrixView.heads(heads, width: 64, examples: examples, rows: 60)
        func scores(_ threads: Int) -> [UInt32] {
            var c = Matrix(rows: examples * heads * 60, columns: 60)
            Parallel.withThreads(threads) {
                BLAS.multiply(
                    q, at: view, k, at: view, transposeB: true, into: &c,
                    at: .stacked(heads, examples: examples, rows: 60, columns: 60))
            }
            return c.values.map(\.bitPattern)
        }
        let one = scores(1)
        for threads in [2, 3, 7] { #expect(scores(threads) == one) }
    }

    @Test("elements outside a view stay as they are") func outside() {
        var random = Random(seed: 7)
        let (a, b) = (matrix(4, 3, &random), matrix(3, 2, &random))
        var c = Matrix(rows: 6, columns: 5)
        c.fill(9)
        BLAS.multiply(
            a, at: MatrixView(a), b, at: MatrixView(b), into: &c,
            at: MatrixView(rows: 4, columns: 2, stride: 5, offset: 6))
        for row in 0..<6 {
            for column in 0..<5 {
                #expect((c[row, column] == 9) == !((1...4).contains(row) && (1...2).contains(column)))
            }
        }
    }

    @Test("a view knows whether it fits, fills and has every element once") func shapes() {
        let matrix = Matrix(rows: 6, columns: 8)
        let halves = MatrixView.heads(2, width: 4, examples: 2, rows: 3)
        #expect(halves.count == 4 && halves.elements == 48 && halves.fills(matrix) && halves.isDisjoint)
        #expect(MatrixView(matrix).fills(matrix))
        let columns = MatrixView.heads(2, width: 3, examples: 2, rows: 3, stride: 8, firstColumn: 2)
        #expect(columns.isWithin(matrix) && columns.isDisjoint && !columns.fills(matrix))
        #expect(!MatrixView.heads(2, width: 4, examples: 3, rows: 3).isWithin(matrix))
        #expect(!MatrixView(rows: 6, columns: 8, offset: 1).isWithin(matrix))
        // The same matrix for every example, and heads that overlap.
        let shared = MatrixView(rows: 3, columns: 8, outer: MatrixView.Axis(count: 2, stride: 0))
        #expect(shared.isWithin(matrix) && !shared.isDisjoint)
        let overlapping = MatrixView(rows: 3, columns: 4, stride: 8, inner: MatrixView.Axis(count: 2, stride: 3))
        #expect(!overlapping.isDisjoint)
    }
}
