import Core
import Files
import Numerics
import Testing
import Tokenizer
import TokenizerTraining
import Training

/// What tests of whole runs share: a small data set, and the check that stopped runs resume to the same bytes.
enum SmallRun {
    /// Random embeddings of width 12 in clusters, and CF embeddings of width 6.
    static func data(_ items: Int, seed: UInt64) -> (semantic: Matrix, collaborative: Matrix) {
        var random = Random(seed: seed)
        var semantic = random.normalMatrix(rows: items, columns: 12, deviation: 0.5)
        for item in 0..<items { semantic[item, item % 12] += 1 }
        return (semantic, random.normalMatrix(rows: items, columns: 6, deviation: 1))
    }

    /// The files of a model, written into a new folder.
    static func bytes(_ model: TokenizerModel, _ directory: String, _ name: String) throws -> [[UInt8]] {
        try ModelDirectory.write(model, to: "\(directory)/\(name)")
        return try [ModelDirectory.weightsName, ModelDirectory.manifestName].map {
            try FileSystem.read("\(directory)/\(name)/\($0)", limit: 1 << 24)
        }
    }

    /// Stops a run before each of its batches, and expects it to resume to these bytes.
    static func expectStoppedRunsToEnd(
        as whole: [[UInt8]], batches: Int, _ directory: String, trainer: () throws -> Trainer
    ) throws {
        for stopAfter in 0..<batches {
            let checkpoints = CheckpointFile(path: "\(directory)/c\(stopAfter)", interval: 1e9, resume: true)
            var asked = 0
            let failure = #expect(throws: TrainingError.self) {
                try trainer().train(
                    checkpoints: checkpoints,
                    stop: {
                        asked += 1
                        return asked > stopAfter
                    })
            }
            #expect(failure?.code == "tokenizer.stopped" && failure?.kind == .temporary)
            let model = try trainer().train(checkpoints: checkpoints)
            #expect(try bytes(model, directory, "m\(stopAfter)") == whole, "after \(stopAfter) batches")
        }
    }
}
