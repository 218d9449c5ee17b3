import Autodiff
import Core
import Files
import Foundation
import Numerics
import TestSupport
import Testing
import Training

/// Epochs, the epoch that is kept, patience, checkpoints, resuming and stopping, on a small regression.
@Suite struct TrainingLoopTests {
    private typealias Failure = ReasonedFailure<RegressionTask.Reason>

    private static let plan = TrainingPlan(epochs: 4, firstMeasured: 2)

    private static func loop(_ task: RegressionTask, _ plan: TrainingPlan = plan) -> TrainingLoop<RegressionTask> {
        TrainingLoop(task, plan: plan, random: Random(seed: 9))
    }

    /// The values and the kept epoch of a run.
    private struct Outcome: Equatable {
        var values: [Matrix]
        var epoch: Int
        var score: Double
        var error: Float
    }

    private static func run(
        checkpoints: CheckpointFile? = nil, stop: () -> Bool = { false }
    ) throws -> Outcome {
        let task = RegressionTask()
        let kept = try loop(task).run(checkpoints: checkpoints, stop: stop)
        return Outcome(
            values: task.parameters.map(\.value), epoch: kept.epoch, score: kept.measurement.score,
            error: kept.losses.error)
    }

    @Test("an epoch is begun, has all examples in batches, is ended and then measured") func order() throws {
        let task = RegressionTask()
        _ = try Self.loop(task, TrainingPlan(epochs: 2, firstMeasured: 2)).run()
        let batches = ["batch of 8", "batch of 8", "batch of 8", "batch of 6"]
        #expect(task.calls == ["begin 1"] + batches + ["end 1", "begin 2"] + batches + ["end 2", "measure"])
    }

    @Test("training lowers the error, and reports say so") func learns() throws {
        var reports: [TrainingLoop<RegressionTask>.Report] = []
        let kept = try Self.loop(RegressionTask(), TrainingPlan(epochs: 200, firstMeasured: 100, interval: 10))
            .run(progress: { reports.append($0) })
        #expect(reports.map(\.epoch) == Array(1...200))
        #expect(reports[199].losses.error < 0.1 * reports[0].losses.error)
        let measured = reports.filter { $0.measurement != nil }
        #expect(measured.map(\.epoch) == Array(stride(from: 100, through: 200, by: 10)))
        #expect(kept.measurement.score == measured.compactMap { $0.measurement?.score }.min())
        #expect(reports.allSatisfy { $0.epochSeconds >= 0 && $0.seconds >= $0.epochSeconds })
    }

    @Test("a run stopped before any of its batches resumes to the same bytes") func stopped() throws {
        let whole = try Self.run()
        try withTemporaryDirectory { directory in
            for stopAfter in 0..<16 {
                let file = CheckpointFile(path: "\(directory)/\(stopAfter)", interval: 1e9, resume: true)
                var asked = 0
                let failure = #expect(throws: Failure.self) {
                    try Self.run(checkpoints: file) {
                        asked += 1
                        return asked > stopAfter
                    }
                }
                #expect(failure?.code == "regression.stopped" && failure?.kind == .temporary)
                let resumed = try Self.run(checkpoints: file)
                #expect(resumed == whole, "after \(stopAfter) batches")
            }
        }
        // Where nothing is saved, the run is stopped all the same.
        #expect(throws: Failure.self) { try Self.run(stop: { true }) }
    }

    @Test("every checkpoint of a run leads to the same bytes") func killed() throws {
        let whole = try Self.run()
        try withTemporaryDirectory { directory in
            let path = "\(directory)/checkpoint"
            var copies: [[UInt8]] = []
            _ = try Self.run(checkpoints: CheckpointFile(path: path, interval: 0)) {
                if let bytes = try? FileSystem.read(path, limit: 1 << 24) { copies.append(bytes) }
                return false
            }
            #expect(copies.count == 15)
            for copy in copies {
                try FileSystem.replace(path, with: copy)
                #expect(try Self.run(checkpoints: CheckpointFile(path: path, resume: true)) == whole)
            }
            // Without `resume` a checkpoint is not read.
            let task = RegressionTask()
            _ = try Self.loop(task).run(checkpoints: CheckpointFile(path: path, resume: false))
            #expect(task.calls.first == "begin 1")
        }
    }

    @Test("the epoch with the lowest score is kept, among equals the latest, with its values") func keeps() throws {
        let task = RegressionTask()
        task.scores = [3, 1, 1, 2]
        var values: [[Matrix]] = []
        let kept = try Self.loop(task, TrainingPlan(epochs: 4)).run(
            progress: { _ in values.append(task.parameters.map(\.value)) })
        #expect(kept.epoch == 3 && kept.epochs == 4 && kept.measurement.score == 1)
        #expect(task.parameters.map(\.value) == values[2] && values[2] != values[3])
    }

    @Test("patience ends a run after so many measurements that are not lower than the lowest before") func patience()
        throws
    {
        func epochs(_ scores: [Double], patience: Int) throws -> Int {
            let task = RegressionTask()
            task.scores = scores
            return try Self.loop(task, TrainingPlan(epochs: 7, patience: patience)).run().epochs
        }
        #expect(try epochs([5, 4, 4, 4, 3, 2, 1], patience: 2) == 4)
        #expect(try epochs([5, 4, 4, 3, 4, 4, 1], patience: 2) == 6)
        #expect(try epochs([5, 6, 7, 8, 9, 9, 9], patience: 0) == 7)
    }

    @Test("a loss or a score that is not a number ends the run") func diverged() throws {
        let task = RegressionTask()
        task.learningRate = 1e30
        let failure = #expect(throws: Failure.self) { try Self.loop(task).run() }
        #expect(failure?.code == "regression.diverged")
        let other = RegressionTask()
        other.scores = [.nan, .nan, .nan]
        #expect(throws: Failure.self) { try Self.loop(other).run() }
    }

    @Test("a checkpoint of another run, of an older format, damaged or incomplete, is refused") func refused() throws {
        try withTemporaryDirectory { directory in
            let file = CheckpointFile(path: "\(directory)/checkpoint", interval: 0, resume: true)
            func code(_ task: RegressionTask = RegressionTask(), _ plan: TrainingPlan = Self.plan) -> String? {
                do {
                    _ = try Self.loop(task, plan).run(checkpoints: file)
                    return nil
                } catch {
                    return (error as? any Core.Failure)?.code ?? "\(error)"
                }
            }
            #expect(code() == nil)
            #expect(code(RegressionTask(seed: 2)) == "regression.checkpoint_mismatch")
            #expect(code(RegressionTask(), TrainingPlan(epochs: 3)) == "regression.bad_checkpoint")
            let bytes = try FileSystem.read(file.path, limit: 1 << 24)
            for length in [0, 7, 100, bytes.count / 2, bytes.count - 1] {
                try FileSystem.replace(file.path, with: bytes[..<length])
                #expect(code() == "files.damaged", "\(length) bytes")
            }
            // As the first format had it: the identity names the format.
            var old = SafetensorsWriter()
            old.add("value.mlp.0.weight", shape: [8, 5], [Float](repeating: 1, count: 40))
            old.metadata = ["identity": #"{"format":"letter-checkpoint/1","seed":1}"#, "state": "{}"]
            try FileSystem.replace(file.path, with: old.bytes())
            #expect(code() == "regression.bad_checkpoint")
            // The same names as now, but one is missing.
            let text = try #require(String(bytes: bytes, encoding: .isoLatin1))
            for (name, other) in [
                ("optimizer", "optimisor"), ("noise", "voice"), ("first.mlp.0.bias", "first.mlp.9.bias"),
            ] {
                let changed = text.replacing("\"\(name)\":", with: "\"\(other)\":")
                #expect(changed != text)
                try FileSystem.replace(file.path, with: Array(try #require(changed.data(using: .isoLatin1))))
                #expect(code() == "regression.bad_checkpoint", "\(name)")
            }
            try FileSystem.replace(file.path, with: bytes)
            #expect(code() == nil)
        }
    }

    @Test("the plan measures at its interval from its first epoch on, and always at the end") func plans() {
        let plan = TrainingPlan(epochs: 25, firstMeasured: 10, interval: 4)
        #expect((1...25).filter { plan.isMeasured($0) } == [12, 16, 20, 24, 25])
        #expect((1...9).filter { TrainingPlan(epochs: 9, firstMeasured: 9).isMeasured($0) } == [9])
    }
}
