import Autodiff
import Foundation
import Numerics
import Testing

/// Every operation against its formula in double.
@Suite struct OperationTests {
    private static func linear(_ x: Plain, _ weight: Plain, _ bias: Plain?, rectify: Bool) -> Plain {
        let product = x.timesTransposed(weight)
        return Plain(rows: product.rows, columns: product.columns) { row, column in
            let y = product[row, column] + (bias?[0, column] ?? 0)
            return rectify ? max(0, y) : y
        }
    }

    /// The mean of −log softmax(logits)[target] over the rows with a target.
    private static func crossEntropy(_ logits: Plain, _ targets: [Int], _ excluded: [Int]) -> Double {
        let rows = targets.indices.filter { targets[$0] >= 0 }
        return rows.reduce(0) { total, row in
            let sum = (0..<logits.columns).reduce(0.0) { $1 == excluded[row] ? $0 : $0 + exp(logits[row, $1]) }
            return total + log(sum) - logits[row, targets[row]]
        } / Double(rows.count)
    }

    @Test("a linear layer", arguments: [false, true], [false, true]) func linear(bias: Bool, rectify: Bool) {
        checkGradients(parameters([(4, 3), (5, 3)] + (bias ? [(1, 5)] : []))) { tape, p in
            let y = tape.linear(p[0], p[1], bias: bias ? p[2] : nil, rectify: rectify)
            return tape.meanSquaredError(y, tape.constant(target(4, 5)))
        } formula: { p in
            Self.linear(p[0], p[1], bias ? p[2] : nil, rectify: rectify).meanSquaredError(Plain(target(4, 5)))
        }
    }

    @Test("inner products of rows, also of a matrix with itself") func product() {
        checkGradients(parameters([(4, 3), (5, 3)])) { tape, p in
            tape.meanSquaredError(tape.productTransposed(p[0], p[1]), tape.constant(target(4, 5)))
        } formula: { p in
            p[0].timesTransposed(p[1]).meanSquaredError(Plain(target(4, 5)))
        }
        checkGradients(parameters([(3, 2)])) { tape, p in
            tape.meanSquaredError(tape.productTransposed(p[0], p[0]), tape.constant(target(3, 3)))
        } formula: { p in
            p[0].timesTransposed(p[0]).meanSquaredError(Plain(target(3, 3)))
        }
    }

    @Test("rows of a table, with repeats") func gather() {
        let rows = [2, 0, 2, 1, 3]
        checkGradients(parameters([(4, 3)])) { tape, p in
            tape.meanSquaredError(tape.gather(p[0], rows), tape.constant(target(5, 3)))
        } formula: { p in
            Plain(rows: 5, columns: 3) { p[0][rows[$0], $1] }.meanSquaredError(Plain(target(5, 3)))
        }
    }

    @Test("a weighted sum, and a value that is used twice") func weightedSum() {
        checkGradients(parameters([(2, 3), (2, 3)])) { tape, p in
            let sum = tape.weightedSum([(p[0], 2), (p[1], -0.5), (p[0], 0.25)])
            return tape.meanSquaredError(sum, p[1])
        } formula: { p in
            Plain(rows: 2, columns: 3) { 2.25 * p[0][$0, $1] - 0.5 * p[1][$0, $1] }.meanSquaredError(p[1])
        }
    }

    @Test("cross-entropy, with rows and columns left out") func crossEntropy() {
        let (targets, excluded) = ([3, -1, 0, 10], [4, 2, -1, 0])
        checkGradients(parameters([(4, 11)])) { tape, p in
            tape.crossEntropy(tape.weightedSum([(p[0], 1.5)]), targets: targets, excluded: excluded)
        } formula: { p in
            Self.crossEntropy(Plain(rows: 4, columns: 11) { 1.5 * p[0][$0, $1] }, targets, excluded)
        }
    }

    @Test("a small network of all of them") func network() {
        let rows = [0, 1, 2, 3, 4, 0, 1]
        checkGradients(parameters([(6, 4), (1, 6), (3, 6), (1, 3), (5, 3)])) { tape, p in
            let hidden = tape.linear(tape.constant(target(7, 4)), p[0], bias: p[1], rectify: true)
            let z = tape.linear(hidden, p[2], bias: p[3])
            let loss = tape.crossEntropy(tape.productTransposed(z, p[4]), targets: rows)
            let error = tape.meanSquaredError(z, tape.gather(p[4], rows))
            return tape.weightedSum([(loss, 1), (error, 0.3)])
        } formula: { p in
            let hidden = Self.linear(Plain(target(7, 4)), p[0], p[1], rectify: true)
            let z = Self.linear(hidden, p[2], p[3], rectify: false)
            let chosen = Plain(rows: 7, columns: 3) { p[4][rows[$0], $1] }
            return Self.crossEntropy(z.timesTransposed(p[4]), rows, [Int](repeating: -1, count: 7))
                + 0.3 * z.meanSquaredError(chosen)
        }
    }

    @Test("no gradient passes a stop; the straight-through estimator passes it to its base alone") func stops() {
        let tape = Tape()
        let p = parameters([(2, 3), (2, 3)])
        let (a, b) = (tape.parameter(p[0]), tape.parameter(p[1]))
        let through = tape.straightThrough(a, to: b)
        for (got, expected) in zip(tape.value(through).values, p[1].value.values) {
            #expect(abs(got - expected) < 1e-6)
        }
        let loss = tape.meanSquaredError(through, tape.stopGradient(b))
        let far = tape.meanSquaredError(through, tape.constant(target(2, 3)))
        tape.backward(from: tape.weightedSum([(loss, 1), (far, 1)]))
        let expected = zip(p[1].value.values, target(2, 3).values).map { 2 * ($0 - $1) / 6 }
        for (got, wanted) in zip(p[0].gradient.values, expected) { #expect(abs(got - wanted) < 1e-5) }
        #expect(p[1].gradient.values.allSatisfy { $0 == 0 })
    }
}
