import Autodiff
import Numerics
import Testing

/// Compares the tape's gradients with central differences of the scalar that `build` makes of the parameters.
private func checkGradients(
    _ parameters: [Parameter], tolerance: Float = 2e-2, _ build: (Tape, [Tape.Variable]) -> Tape.Variable
) {
    let tape = Tape()
    func loss() -> Float {
        tape.reset()
        return tape.scalar(build(tape, parameters.map(tape.parameter)))
    }
    tape.reset()
    for parameter in parameters { parameter.clearGradient() }
    tape.backward(from: build(tape, parameters.map(tape.parameter)))
    for parameter in parameters {
        var greatest: Float = 0
        for i in 0..<parameter.value.values.count {
            let (row, column) = (i / parameter.value.columns, i % parameter.value.columns)
            let before = parameter.value[row, column]
            let step: Float = 1e-2
            parameter.value[row, column] = before + step
            let above = loss()
            parameter.value[row, column] = before - step
            let below = loss()
            parameter.value[row, column] = before
            let numeric = (above - below) / (2 * step)
            let analytic = parameter.gradient[row, column]
            #expect(
                abs(numeric - analytic) <= tolerance * max(0.05, abs(numeric)), "\(parameter.name)[\(row), \(column)]")
            greatest = max(greatest, abs(numeric))
        }
        // Without this a tape that gives zeros for a constant loss would pass.
        #expect(greatest > 1e-3, "\(parameter.name) has no influence")
    }
}

private func parameters(_ shapes: [(Int, Int)], seed: UInt64 = 3) -> [Parameter] {
    var random = Random(seed: seed)
    return shapes.enumerated().map { number, shape in
        Parameter("p\(number)", random.normalMatrix(rows: shape.0, columns: shape.1, deviation: 1))
    }
}

@Suite struct TapeTests {
    /// Something for the outputs to be compared with, so that every element matters.
    private static func target(_ rows: Int, _ columns: Int) -> Matrix {
        var random = Random(seed: 77)
        return random.normalMatrix(rows: rows, columns: columns, deviation: 1)
    }

    @Test("a linear layer's gradients agree with differences", arguments: [false, true], [false, true])
    func linear(bias: Bool, rectify: Bool) {
        checkGradients(parameters([(4, 3), (5, 3)] + (bias ? [(1, 5)] : []))) { tape, p in
            let y = tape.linear(p[0], p[1], bias: bias ? p[2] : nil, rectify: rectify)
            return tape.meanSquaredError(y, tape.constant(Self.target(4, 5)))
        }
    }

    @Test("a product's gradients agree with differences, also of a matrix with itself") func product() {
        checkGradients(parameters([(4, 3), (5, 3)])) { tape, p in
            tape.meanSquaredError(tape.productTransposed(p[0], p[1]), tape.constant(Self.target(4, 5)))
        }
        checkGradients(parameters([(3, 2)])) { tape, p in
            tape.meanSquaredError(tape.productTransposed(p[0], p[0]), tape.constant(Self.target(3, 3)))
        }
    }

    @Test("gather, with repeats") func gather() {
        checkGradients(parameters([(4, 3)])) { tape, p in
            tape.meanSquaredError(tape.gather(p[0], [2, 0, 2, 1, 3]), tape.constant(Self.target(5, 3)))
        }
    }

    @Test("a weighted sum, and a value used twice") func weightedSum() {
        checkGradients(parameters([(2, 3), (2, 3)])) { tape, p in
            let sum = tape.weightedSum([(p[0], 2), (p[1], -0.5), (p[0], 0.25)])
            return tape.meanSquaredError(sum, p[1])
        }
    }

    @Test("cross-entropy, with rows and columns left out") func crossEntropy() {
        checkGradients(parameters([(4, 11)])) { tape, p in
            let logits = tape.weightedSum([(p[0], 1.5)])
            return tape.crossEntropy(logits, targets: [3, -1, 0, 10], excluded: [4, 2, -1, 0])
        }
    }

    @Test("a small network of all of it") func network() {
        checkGradients(parameters([(6, 4), (1, 6), (3, 6), (1, 3), (5, 3)])) { tape, p in
            let hidden = tape.linear(tape.constant(Self.target(7, 4)), p[0], bias: p[1], rectify: true)
            let z = tape.linear(hidden, p[2], bias: p[3])
            let loss = tape.crossEntropy(tape.productTransposed(z, p[4]), targets: [0, 1, 2, 3, 4, 0, 1])
            let error = tape.meanSquaredError(z, tape.gather(p[4], [0, 1, 2, 3, 4, 0, 1]))
            return tape.weightedSum([(loss, 1), (error, 0.3)])
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
        let far = tape.meanSquaredError(through, tape.constant(Self.target(2, 3)))
        tape.backward(from: tape.weightedSum([(loss, 1), (far, 1)]))
        let expected = zip(p[1].value.values, Self.target(2, 3).values).map { 2 * ($0 - $1) / 6 }
        for (got, wanted) in zip(p[0].gradient.values, expected) { #expect(abs(got - wanted) < 1e-5) }
        #expect(p[1].gradient.values.allSatisfy { $0 == 0 })
    }

    @Test("a step after a reset gives the gradients of a new tape, also for a smaller batch") func reuse() {
        let p = parameters([(3, 4), (1, 3)])
        func gradients(_ tape: Tape, rows: Int) -> [Float] {
            for parameter in p { parameter.clearGradient() }
            let y = tape.linear(tape.constant(Self.target(rows, 4)), tape.parameter(p[0]), bias: tape.parameter(p[1]))
            tape.backward(from: tape.meanSquaredError(y, tape.constant(Self.target(rows, 3))))
            return p.flatMap(\.gradient.values)
        }
        let tape = Tape()
        for rows in [9, 4, 9, 12] {
            tape.reset()
            #expect(gradients(tape, rows: rows) == gradients(Tape(), rows: rows))
        }
    }
}
