import Glibc
import Numerics
import Testing

/// The product by its definition, in double.
func plainProduct(_ a: Matrix, _ transposeA: Bool, _ b: Matrix, _ transposeB: Bool) -> [Double] {
    let (m, k) = transposeA ? (a.columns, a.rows) : (a.rows, a.columns)
    let n = transposeB ? b.rows : b.columns
    return (0..<m * n).map { index in
        (0..<k).reduce(0.0) { total, inner in
            let left = transposeA ? a[inner, index / n] : a[index / n, inner]
            let right = transposeB ? b[index % n, inner] : b[inner, index % n]
            return total + Double(left) * Double(right)
        }
    }
}

@Suite struct MatrixTests {
    @Test("products agree with the definition", arguments: [false, true], [false, true])
    func products(transposeA: Bool, transposeB: Bool) {
        var random = Random(seed: 5)
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 9, 33), (4, 1, 0)] {
            let a = random.normalMatrix(rows: transposeA ? k : m, columns: transposeA ? m : k, deviation: 1)
            let b = random.normalMatrix(rows: transposeB ? n : k, columns: transposeB ? k : n, deviation: 1)
            var c = random.normalMatrix(rows: m, columns: n, deviation: 1)
            let before = c.values
            BLAS.multiply(a, transposeA: transposeA, b, transposeB: transposeB, alpha: 2, beta: 0.5, into: &c)
            for (i, expected) in plainProduct(a, transposeA, b, transposeB).enumerated() {
                #expect(abs(Double(c.values[i]) - (2 * expected + 0.5 * Double(before[i]))) < 1e-4)
            }
        }
    }

    @Test("addBias adds the bias to every row and applies ReLU if asked") func bias() {
        var x = Matrix(rows: 2, columns: 2, [1, -2, 0.5, 3])
        x.addBias(Matrix(rows: 1, columns: 2, [-1, 1]), rectify: true)
        #expect(x.values == [0, 0, 0, 4])
        x.addBias(Matrix(rows: 1, columns: 2, [-1, 1]), rectify: false)
        #expect(x.values == [-1, 1, -1, 5])
    }

    @Test("gather takes rows, and scatterAdd adds them back to where they came from") func gather() {
        let table = Matrix(rows: 3, columns: 2, [1, 2, 3, 4, 5, 6])
        var rows = Matrix()
        rows.gather([2, 0, 2], of: table)
        #expect(rows == Matrix(rows: 3, columns: 2, [5, 6, 1, 2, 5, 6]))
        var back = Matrix(rows: 3, columns: 2)
        back.scatterAdd(rows, to: [2, 0, 2])
        #expect(back.values == [1, 2, 0, 0, 10, 12])
    }

    @Test("softmax cross-entropy leaves out rows without a target and excluded columns") func crossEntropy() {
        var random = Random(seed: 9)
        let logits = random.normalMatrix(rows: 3, columns: 19, deviation: 3)
        var softmax = logits
        let (loss, counted) = softmax.softmaxCrossEntropy(targets: [4, -1, 18], excluded: [7, 2, -1])
        var expected = 0.0
        for (row, target, excluded) in [(0, 4, 7), (2, 18, -1)] {
            let terms = (0..<19).map { $0 == excluded ? 0 : exp(Double(logits[row, $0])) }
            expected -= log(exp(Double(logits[row, target])) / terms.reduce(0, +)) / 2
            for j in 0..<19 { #expect(abs(Double(softmax[row, j]) - terms[j] / terms.reduce(0, +)) < 1e-6) }
        }
        #expect(counted == 2)
        #expect(abs(Double(loss) - expected) < 1e-5)
        #expect(softmax.row(1).allSatisfy { $0 == 0 })
        var none = Matrix(rows: 1, columns: 4)
        #expect(none.softmaxCrossEntropy(targets: [-1], excluded: nil) == (0, 0))
    }

    @Test("softmax stays finite for logits that are far apart or equal") func extremeLogits() {
        var x = Matrix(rows: 1, columns: 9, [-1e30, 80, -90, 0, 1e5, 1, 2, 3, 1e5])
        let loss = x.softmaxCrossEntropy(targets: [4], excluded: nil).loss
        #expect(abs(loss - 0.693147) < 1e-5)
        #expect(x[0, 4] == 0.5 && x[0, 8] == 0.5 && x[0, 0] == 0)
    }

    @Test("the least of each column is found with its margin, the lowest row of a tie", arguments: [1, 7, 8, 20, 40])
    func nearest(columns: Int) {
        var random = Random(seed: 3)
        var products = random.normalMatrix(rows: 19, columns: columns, deviation: 1)
        for column in 0..<columns where column % 2 == 0 {
            products[(column * 7) % 18, column] = -9
            products[(column * 3 + 5) % 18, column] = -9
        }
        var offsets = [Float](repeating: 0, count: 19)
        offsets[18] = .infinity
        var codes = [Int](repeating: -1, count: columns)
        var margins = [Float](repeating: -1, count: columns)
        Nearest.inColumns(products, offsets: offsets, codes: &codes, margins: &margins)
        for column in 0..<columns {
            let values = (0..<18).map { products[$0, column] }
            let sorted = values.sorted()
            #expect(codes[column] == values.firstIndex(of: sorted[0]))
            #expect(margins[column] == sorted[1] - sorted[0])
        }
    }

    @Test("resize gives as many elements as asked, smaller and larger") func resize() {
        var matrix = Matrix(rows: 4, columns: 4)
        matrix.resize(rows: 2, columns: 3)
        #expect(matrix.values.count == 6)
        matrix.resize(rows: 4, columns: 4)
        #expect(matrix.values.count == 16)
    }
}
