import Autodiff
import Core
import Layers
import Numerics
import Training

/// A small network that learns a function of five numbers: something real to train.
final class RegressionTask: TrainingTask {
    enum Reason: String, TrainingFailureReason {
        case stopped, diverged
        case badCheckpoint = "bad_checkpoint"
        case checkpointMismatch = "checkpoint_mismatch"

        static let module = "regression"
        var kind: FailureKind { self == .stopped ? .temporary : .invalid }
    }

    struct Identity: RunIdentity {
        var seed: UInt64
        func difference(from other: Self) -> String { "seeds" }
    }

    struct Losses: LossTerms {
        var error: Float
        init(values: [Float]) { error = values[0] }
        var values: [Float] { [error] }
        var total: Float { error }
    }

    struct Measurement: TrainingMeasurement {
        var score: Double
    }

    /// What was called, for tests of the order.
    var calls: [String] = []
    /// The score of the next measurement; nil for the mean squared error of all examples.
    var scores: [Double] = []
    var learningRate = 0.01
    let batchSize = 8
    let examples = 30
    private let seed: UInt64
    private let mlp: MLP
    private let optimizer: AdamWOptimizer
    private let tape = Tape()
    private let x: Matrix
    private let y: Matrix
    /// Noise that is added to the targets: drawn in every epoch, and saved in checkpoints.
    private var noise: Float = 0

    init(seed: UInt64 = 1) {
        self.seed = seed
        var random = Random(seed: seed)
        mlp = MLP("mlp", widths: [5, 8, 1], random: &random)
        optimizer = AdamWOptimizer(AdamW(), mlp.parameters)
        let inputs = random.normalMatrix(rows: 30, columns: 5, deviation: 1)
        x = inputs
        y = Matrix(rows: 30, columns: 1, (0..<30).map { inputs[$0, 0] * inputs[$0, 1] - inputs[$0, 2] })
    }

    var parameters: [Parameter] { mlp.parameters }

    func identity() -> Identity { Identity(seed: seed) }

    func beginEpoch(_ epoch: Int, random: inout Random) {
        calls.append("begin \(epoch)")
        noise = Float(random.normal()) * 0.01
    }

    func train(_ examples: ArraySlice<Int>, random: inout Random) -> Losses {
        calls.append("batch of \(examples.count)")
        var (inputs, targets) = (Matrix(), Matrix())
        inputs.gather(Array(examples), of: x)
        targets.gather(Array(examples), of: y)
        for row in 0..<targets.rows { targets[row, 0] += noise * Float(random.normal()) }
        for parameter in parameters { parameter.clearGradient() }
        tape.reset()
        let loss = tape.meanSquaredError(mlp(tape.constant(inputs), on: tape), tape.constant(targets))
        tape.backward(from: loss)
        optimizer.step(learningRate: learningRate)
        return Losses(values: [tape.scalar(loss)])
    }

    func endEpoch(_ epoch: Int, random: inout Random) { calls.append("end \(epoch)") }

    func measure() -> Measurement {
        calls.append("measure")
        if !scores.isEmpty { return Measurement(score: scores.removeFirst()) }
        tape.reset()
        let loss = tape.meanSquaredError(mlp(tape.constant(x), on: tape), tape.constant(y))
        return Measurement(score: Double(tape.scalar(loss)))
    }

    func save(to checkpoint: inout Checkpoint) throws {
        try optimizer.save(to: &checkpoint)
        try checkpoint.set("noise", noise)
    }

    func restore(from checkpoint: Checkpoint, epoch: Int) throws {
        calls.append("restore \(epoch)")
        try optimizer.restore(from: checkpoint)
        noise = try checkpoint.value("noise", as: Float.self)
    }
}
