import Autodiff
import Numerics
import Testing
import Training

@Suite struct AdamWTests {
    private static let settings = AdamW(learningRate: 0.1, weightDecay: 0.5)

    private static func parameters() -> [Parameter] {
        var random = Random(seed: 2)
        return [
            Parameter("a", random.normalMatrix(rows: 3, columns: 5, deviation: 1)),
            Parameter("b", random.normalMatrix(rows: 1, columns: 5, deviation: 1)),
        ]
    }

    /// Gives parameters the gradients of their mean squared difference from zero.
    private static func backward(_ parameters: [Parameter]) {
        let tape = Tape()
        for parameter in parameters {
            parameter.clearGradient()
            let zeros = Matrix(rows: parameter.value.rows, columns: parameter.value.columns)
            tape.reset()
            tape.backward(from: tape.meanSquaredError(tape.parameter(parameter), tape.constant(zeros)))
        }
    }

    @Test("steps are those of the formula, in double, with a learning rate that changes") func formula() {
        let parameters = Self.parameters()
        let optimizer = AdamWOptimizer(Self.settings, parameters)
        var x = parameters.flatMap { $0.value.values.map(Double.init) }
        var (m, v) = ([Double](repeating: 0, count: x.count), [Double](repeating: 0, count: x.count))
        for step in 1...5 {
            let rate = 0.1 / Double(step)
            Self.backward(parameters)
            let gradients = parameters.flatMap { $0.gradient.values.map(Double.init) }
            optimizer.step(learningRate: rate)
            for (i, g) in gradients.enumerated() {
                var (powers1, powers2) = (1.0, 1.0)
                for _ in 0..<step { (powers1, powers2) = (powers1 * 0.9, powers2 * 0.999) }
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                x[i] =
                    x[i] * (1 - rate * 0.5) - rate * (m[i] / (1 - powers1))
                    / ((v[i] / (1 - powers2)).squareRoot() + 1e-8)
            }
            for (got, expected) in zip(parameters.flatMap(\.value.values), x) {
                #expect(abs(Double(got) - expected) < 1e-5, "step \(step)")
            }
        }
        #expect(optimizer.steps == 5)
    }

    @Test("only its own parameters move, and weights decay without a gradient too") func own() {
        let parameters = Self.parameters()
        let before = parameters.map(\.value)
        AdamWOptimizer(Self.settings, [parameters[0]]).step(learningRate: 0.1)
        #expect(parameters[0].value.values == before[0].values.map { $0 * Float(1 - 0.1 * 0.5) })
        #expect(parameters[1].value == before[1])
    }

    @Test("forgotten moments are those of a new optimizer, of a row or of all") func forget() {
        func moved(_ change: (AdamWOptimizer, Parameter) -> Void) -> Matrix {
            let parameters = Self.parameters()
            let optimizer = AdamWOptimizer(Self.settings, parameters)
            Self.backward(parameters)
            optimizer.step(learningRate: 0.1)
            change(optimizer, parameters[0])
            // No gradient: whatever still moves, apart from the decay, moves by its moments.
            let before = parameters[0].value
            parameters[0].clearGradient()
            optimizer.step(learningRate: 0.1)
            var difference = parameters[0].value
            difference.add(before, scaledBy: -Float(1 - 0.1 * 0.5))
            return difference
        }
        func rows(_ matrix: Matrix) -> [Bool] {
            (0..<3).map { matrix.row($0).allSatisfy { $0.magnitude < 1e-6 } }
        }
        #expect(rows(moved { _, _ in }) == [false, false, false])
        #expect(rows(moved { $0.forget($1, row: 1) }) == [false, true, false])
        #expect(rows(moved { $0.forget($1) }) == [true, true, true])
    }

    @Test("an optimizer continues from a checkpoint as if it had not been interrupted") func checkpoint() throws {
        func steps(_ count: Int, _ parameters: [Parameter], _ optimizer: AdamWOptimizer) {
            for _ in 0..<count {
                Self.backward(parameters)
                optimizer.step(learningRate: 0.1)
            }
        }
        let whole = Self.parameters()
        steps(6, whole, AdamWOptimizer(Self.settings, whole))
        let parameters = Self.parameters()
        let first = AdamWOptimizer(Self.settings, parameters)
        steps(4, parameters, first)
        var checkpoint = Checkpoint()
        try first.save(to: &checkpoint)
        let second = AdamWOptimizer(Self.settings, parameters)
        try second.restore(from: checkpoint)
        steps(2, parameters, second)
        #expect(parameters.map(\.value) == whole.map(\.value))
        #expect(throws: CheckpointProblem.self) {
            try AdamWOptimizer(Self.settings, [Parameter("c", Matrix(rows: 1, columns: 1))]).restore(from: checkpoint)
        }
    }

    @Test("a decay falls in equal steps, a ramp rises in equal steps") func schedules() {
        let decay = LinearDecay(from: 1e-3, finalShare: 0.1)
        #expect((1...11).map { decay.value($0, of: 11) }.first == 1e-3)
        #expect(abs(decay.value(11, of: 11) - 1e-4) < 1e-12 && abs(decay.value(6, of: 11) - 5.5e-4) < 1e-12)
        #expect(decay.value(1, of: 1) == 1e-3)
        #expect(LinearDecay(from: 2, finalShare: 1).value(7, of: 9) == 2)
        let ramp = LinearRamp(to: 8, length: 3)
        #expect((1...6).map { ramp.value($0) } == [2, 4, 6, 8, 8, 8])
        #expect(LinearRamp(to: 8, length: 0).value(1) == 8)
    }
}
