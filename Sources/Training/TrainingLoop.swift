import Autodiff
import Core
import Files
package import Numerics

/// Runs the epochs of a `TrainingTask`: shuffled batches, measurements, patience, checkpoints, resuming and stopping.
///
/// The same task, plan and generator give the same bytes, also when the run was stopped or killed and then resumed from
/// a checkpoint. An epoch's order of examples is not saved; it is drawn again from the generator as it was.
///
/// Memory in addition to the task's: the parameters once, for the epoch that is kept so far, and once more while a checkpoint is
/// written; 8 bytes an example. Not thread-safe; blocks its thread.
package final class TrainingLoop<Task: TrainingTask> {
    package typealias Report = EpochReport<Task.Losses, Task.Measurement>
    package typealias Kept = KeptEpoch<Task.Losses, Task.Measurement>

    /// The state that is not the task's, as checkpoints have it. Checkpoints are written within an epoch, after it was
    /// begun.
    private struct State: Codable {
        /// The current epoch, counted from 1.
        var epoch = 1
        /// Batches of it that are done.
        var batch = 0
        /// The generator before this epoch's order was drawn: a resumed run draws the same order from it.
        var orderRandom: Random
        /// The generator.
        var random: Random
        /// Losses of this epoch's batches.
        var losses = LossSum()
        /// The epoch that is kept so far.
        var best: Best?
        /// Measurements since the score last fell.
        var measurementsSinceBest = 0
    }

    private struct Best: Codable {
        var epoch: Int
        var losses: [Float]
        var measurement: Task.Measurement
    }

    private let task: Task
    private let plan: TrainingPlan
    private var state: State
    /// Values of the parameters in the epoch that is kept so far, in the order of the task's parameters.
    private var best: [Matrix] = []
    /// The examples in the order of this epoch.
    private var order: [Int] = []
    private var isFinished = false

    /// A run that has not begun.
    ///
    /// - Parameter random: the generator of everything random in the run.
    package init(_ task: Task, plan: TrainingPlan, random: Random) {
        self.task = task
        self.plan = plan
        state = State(orderRandom: random, random: random)
    }

    /// Runs all epochs. The task's parameters then have the values of the epoch that is kept.
    ///
    /// - Parameters:
    ///   - checkpoints: where to save the state; nil for nowhere.
    ///   - progress: called after every epoch; what it throws ends the run.
    ///   - stop: called before every batch; if it returns true, the run is saved and ends.
    /// - Throws: what the task and `progress` throw; `FilesError` where a checkpoint cannot be read or written; a failure
    ///   of the task's `Reason`: `stopped`, `diverged` if a loss is no longer finite, `badCheckpoint` and
    ///   `checkpointMismatch` for a file that the run cannot resume from.
    package func run(
        checkpoints: CheckpointFile? = nil, progress: (Report) throws -> Void = { _ in }, stop: () -> Bool = { false }
    ) throws -> Kept {
        try Parallel.withThreads(plan.threads) {
            let start = ContinuousClock.now
            let writer = try checkpoints.map { CheckpointWriter($0, try task.identity(), since: start) }
            var isBegun = try writer.map { try resume($0) } ?? false
            while !isFinished {
                let begun = ContinuousClock.now
                if !isBegun { try beginEpoch() }
                isBegun = false
                try runBatches(writer, stop)
                var report = try endEpoch()
                report.epochSeconds = (ContinuousClock.now - begun) / .seconds(1)
                report.seconds = (ContinuousClock.now - start) / .seconds(1)
                try progress(report)
            }
            return try keep()
        }
    }

    // MARK: - Epochs

    private func beginEpoch() throws {
        state.batch = 0
        state.losses = LossSum()
        try task.beginEpoch(state.epoch, random: &state.random)
        state.orderRandom = state.random
        shuffle(&state.random)
    }

    private func shuffle(_ random: inout Random) {
        order = Array(0..<task.examples)
        random.shuffle(&order)
    }

    private func runBatches(_ writer: CheckpointWriter?, _ stop: () -> Bool) throws {
        let size = task.batchSize
        while state.batch * size < order.count {
            if stop() {
                try writer?.write(checkpoint)
                throw stopped(writer?.file.path)
            }
            let batch = order[(state.batch * size)..<min((state.batch + 1) * size, order.count)]
            let losses = try task.train(batch, random: &state.random)
            guard losses.total.isFinite else {
                throw ReasonedFailure<Task.Reason>(
                    .diverged, "the loss is \(losses.total) in epoch \(state.epoch)",
                    remedy: "Lower the learning rate, or check the scale of the embeddings.")
            }
            state.losses.add(losses, weight: Double(batch.count))
            state.batch += 1
            if let writer, writer.isDue { try writer.write(checkpoint) }
        }
    }

    /// Measures where the plan says so, and advances to the next epoch.
    private func endEpoch() throws -> Report {
        let epoch = state.epoch
        let means = state.losses.means
        try task.endEpoch(epoch, random: &state.random)
        var report = Report(epoch: epoch, losses: Task.Losses(values: means), epochSeconds: 0, seconds: 0)
        if plan.isMeasured(epoch) {
            let measurement = try task.measure()
            report.measurement = measurement
            let lowest = state.best?.measurement.score ?? .infinity
            state.measurementsSinceBest = measurement.score < lowest ? 0 : state.measurementsSinceBest + 1
            if measurement.score <= lowest {
                state.best = Best(epoch: epoch, losses: means, measurement: measurement)
                best = task.parameters.map(\.value)
            }
            isFinished = plan.patience > 0 && state.measurementsSinceBest >= plan.patience
        }
        if epoch >= plan.epochs { isFinished = true }
        if !isFinished { state.epoch += 1 }
        return report
    }

    /// Gives the parameters the values of the epoch that is kept.
    private func keep() throws -> Kept {
        guard let kept = state.best else {
            throw ReasonedFailure<Task.Reason>(
                .diverged, "no epoch has a score that is a number", remedy: "Lower the learning rate.")
        }
        for (parameter, value) in zip(task.parameters, best) { parameter.value = value }
        return Kept(
            epoch: kept.epoch, epochs: state.epoch, losses: Task.Losses(values: kept.losses),
            measurement: kept.measurement)
    }

    private func stopped(_ path: String?) -> ReasonedFailure<Task.Reason> {
        ReasonedFailure(
            .stopped,
            "training was stopped in epoch \(state.epoch) of \(plan.epochs)"
                + (path.map { "; its state is in \($0)" } ?? ""),
            remedy: path == nil ? "Train again." : "Run it again with --resume.")
    }

    // MARK: - Checkpoints

    /// When and where the checkpoints of a run are written.
    private final class CheckpointWriter {
        let file: CheckpointFile
        let identity: Task.Identity
        private var written: ContinuousClock.Instant

        init(_ file: CheckpointFile, _ identity: Task.Identity, since start: ContinuousClock.Instant) {
            self.file = file
            self.identity = identity
            written = start
        }

        /// Whether the interval since the last checkpoint has passed.
        var isDue: Bool { (ContinuousClock.now - written) / .seconds(1) >= file.interval }

        func write(_ checkpoint: () throws -> Checkpoint) throws {
            var checkpoint = try checkpoint()
            try checkpoint.set("identity", identity)
            try checkpoint.write(file.path)
            written = .now
        }
    }

    private func checkpoint() throws -> Checkpoint {
        var checkpoint = Checkpoint()
        try checkpoint.set("loop", state)
        for parameter in task.parameters { checkpoint.set("value.\(parameter.name)", parameter.value) }
        for (parameter, value) in zip(task.parameters, best) { checkpoint.set("best.\(parameter.name)", value) }
        try task.save(to: &checkpoint)
        return checkpoint
    }

    /// Resumes from the checkpoint, if there is one and the run may.
    ///
    /// - Returns: whether it did, so that the current epoch is begun.
    private func resume(_ writer: CheckpointWriter) throws -> Bool {
        let path = writer.file.path
        guard writer.file.resume, FileSystem.exists(path) else { return false }
        do {
            let checkpoint = try Checkpoint(path)
            let identity = try checkpoint.value("identity", as: Task.Identity.self)
            guard identity == writer.identity else {
                throw ReasonedFailure<Task.Reason>(
                    .checkpointMismatch,
                    "\(path) is of a run with other \(identity.difference(from: writer.identity))",
                    remedy: "Resume with the same data and settings, or remove the checkpoint.")
            }
            try restore(checkpoint)
        } catch let problem as CheckpointProblem {
            throw ReasonedFailure<Task.Reason>(
                .badCheckpoint, "\(path) is not a checkpoint of this program", remedy: "Remove it and train again.",
                cause: problem)
        }
        return true
    }

    private func restore(_ checkpoint: Checkpoint) throws {
        state = try checkpoint.value("loop", as: State.self)
        guard (1...plan.epochs).contains(state.epoch), state.batch >= 0 else {
            throw CheckpointProblem("it is in batch \(state.batch) of epoch \(state.epoch)")
        }
        for parameter in task.parameters {
            parameter.value = try checkpoint.matrix("value.\(parameter.name)", like: parameter.value)
        }
        if state.best != nil {
            best = try task.parameters.map { try checkpoint.matrix("best.\($0.name)", like: $0.value) }
        }
        var random = state.orderRandom
        shuffle(&random)
        try task.restore(from: checkpoint, epoch: state.epoch)
    }
}
