import Autodiff
import Foundation
import Numerics
import Testing

/// Products of strided batches against loops in double.
@Suite struct BatchedProductTests {
    private static let (examples, heads, width, length, sources) = (2, 3, 4, 5, 6)

    /// Scores α q kᵀ of every example and head, (B · H · T, S), by the definition.
    private static func scores(_ q: Plain, _ k: Plain, firstKey: Int = 0, length: Int, scale: Double) -> Plain {
        let sources = k.rows / examples
        return Plain(rows: examples * heads * length, columns: sources) { row, source in
            let (example, head, position) = (row / length / heads, row / length % heads, row % length)
            return scale
                * (0..<width).reduce(0) {
                    $0 + q[example * length + position, head * width + $1]
                        * k[example * sources + source, firstKey + head * width + $1]
                }
        }
    }

    /// Weights (B · H · T, S) times v (B · S, H · d) of every example and head, (B · T, H · d), by the definition.
    private static func applied(_ weights: Plain, _ v: Plain, firstValue: Int = 0, length: Int) -> Plain {
        let sources = weights.columns
        return Plain(rows: examples * length, columns: heads * width) { row, column in
            let (example, head) = (row / length, column / width)
            return (0..<sources).reduce(0) {
                $0 + weights[(example * heads + head) * length + row % length, $1]
                    * v[example * sources + $1, firstValue + column]
            }
        }
    }

    private static func view(_ length: Int, stride: Int? = nil, firstColumn: Int = 0) -> MatrixView {
        .heads(heads, width: width, examples: examples, rows: length, stride: stride, firstColumn: firstColumn)
    }

    @Test("attention scores of all heads, q kᵀ") func scores() {
        let all = Self.examples * Self.heads * Self.length
        checkGradients(
            parameters([(Self.examples * Self.length, 12), (Self.examples * Self.sources, 12)])
        ) { tape, p in
            let scores = tape.product(
                p[0], at: Self.view(Self.length), p[1], at: Self.view(Self.sources), transposeB: true, scale: 0.5,
                rows: all, columns: Self.sources,
                at: .stacked(Self.heads, examples: Self.examples, rows: Self.length, columns: Self.sources))
            return tape.meanSquaredError(scores, tape.constant(target(all, Self.sources)))
        } formula: { p in
            Self.scores(p[0], p[1], length: Self.length, scale: 0.5)
                .meanSquaredError(Plain(target(all, Self.sources)))
        }
    }

    @Test("attention weights times values, into heads side by side") func values() {
        let all = Self.examples * Self.heads * Self.length
        checkGradients(parameters([(all, Self.sources), (Self.examples * Self.sources, 12)])) { tape, p in
            let output = tape.product(
                p[0], at: .stacked(Self.heads, examples: Self.examples, rows: Self.length, columns: Self.sources),
                p[1], at: Self.view(Self.sources), rows: Self.examples * Self.length, columns: 12,
                at: Self.view(Self.length))
            return tape.meanSquaredError(output, tape.constant(target(Self.examples * Self.length, 12)))
        } formula: { p in
            Self.applied(p[0], p[1], length: Self.length)
                .meanSquaredError(Plain(target(Self.examples * Self.length, 12)))
        }
    }

    @Test("queries, keys and values side by side in one matrix share its gradient") func joined() {
        // (q kᵀ) v without softmax: every element of q, k and v matters, and they are views of one value.
        let length = Self.length
        let all = Self.examples * Self.heads * length
        let stacked = MatrixView.stacked(Self.heads, examples: Self.examples, rows: length, columns: length)
        func third(_ number: Int) -> MatrixView { Self.view(length, stride: 36, firstColumn: 12 * number) }
        checkGradients(parameters([(Self.examples * length, 36)])) { tape, p in
            let scores = tape.product(
                p[0], at: third(0), p[0], at: third(1), transposeB: true, rows: all, columns: length, at: stacked)
            let output = tape.product(
                scores, at: stacked, p[0], at: third(2), rows: Self.examples * length, columns: 12,
                at: Self.view(length))
            return tape.meanSquaredError(output, tape.constant(target(Self.examples * length, 12)))
        } formula: { p in
            let scores = Self.scores(p[0], p[0], firstKey: 12, length: length, scale: 1)
            return Self.applied(scores, p[0], firstValue: 24, length: length)
                .meanSquaredError(Plain(target(Self.examples * length, 12)))
        }
    }

    @Test("columns that no product reads have no gradient, also after a step in which they had one")
    func unread() {
        let (parameter, tape) = (parameters([(4, 6)])[0], Tape())
        func gradient(_ columns: Int) -> Matrix {
            tape.reset()
            parameter.clearGradient()
            let x = tape.weightedSum([(tape.parameter(parameter), 1)])
            let view = MatrixView(rows: 4, columns: columns, stride: 6)
            let product = tape.product(
                x, at: view, x, at: view, transposeB: true, rows: 4, columns: 4, at: MatrixView(rows: 4, columns: 4))
            tape.backward(from: tape.meanSquaredError(product, tape.constant(target(4, 4))))
            return parameter.gradient
        }
        #expect(gradient(6).values.allSatisfy { $0 != 0 })
        let narrow = gradient(2)
        for row in 0..<4 { for column in 0..<6 { #expect((narrow[row, column] != 0) == (column < 2)) } }
    }
}
