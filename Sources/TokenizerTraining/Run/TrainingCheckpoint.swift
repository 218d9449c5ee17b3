import Tokenizer
import FoundationEssentials
import Files
import Numerics
import Core

/// Where a training run saves how far it has come, and how often.
package struct TrainingCheckpoints: Sendable {
    /// The file. It is replaced as a whole; a run that ends removes nothing.
    package var path: String
    /// Seconds between two savings; 0 saves after every batch. When is of no effect on the result.
    package var interval: Double
    /// Whether to go on from what the file has, if it is there.
    package var resume: Bool

    package init(path: String, interval: Double = 60, resume: Bool = false) {
        self.path = path
        self.interval = interval
        self.resume = resume
    }
}

/// All of a run's state that is not a matrix. With the parameters, their moments, the clusters and the best model, the
/// run goes on from it as if it had never ended.
struct TrainingState: Codable, Equatable {
    /// The epoch at work, counted from 1.
    var epoch = 1
    /// Whether its order and clusters were drawn.
    var isBegun = false
    /// Batches of it that are done.
    var batch = 0
    /// Steps of AdamW so far.
    var step = 0
    /// The random numbers as they stood before this epoch's order was drawn: the order is drawn again from them.
    var orderRandom: Random
    /// The random numbers as they stand.
    var random: Random
    /// Losses of this epoch's batches.
    var losses = LossSum()
    /// The figures of the epoch whose model is kept so far.
    var best: TrainingFigures?
    /// Measurements since then.
    var measurementsSinceBest = 0
    /// Whether the run ended early.
    var isFinished = false

    init(random: Random) {
        orderRandom = random
        self.random = random
    }
}

/// A checkpoint file: a safetensors file whose metadata has the state.
struct TrainingCheckpoint {
    /// What belongs to the run rather than to a moment of it: a checkpoint of another run is refused.
    struct Identity: Codable, Equatable {
        var format = "letter-checkpoint/1"
        var settings: TrainingSettings
        var scaling: InputScaling
        var items: Int
        var width: Int
        var digest: UInt64
    }

    var identity: Identity
    var state: TrainingState
    /// Matrices by name: `value.`, `first.` and `second.` of each parameter, `best.` of each of the best model's.
    var matrices: [String: Matrix]
    /// Cluster of each code, and how many items had it in this epoch, level by level.
    var clusters: [[Int]]
    var usage: [[Int]]

    /// Puts it at `path`, durably: whole, or the one before stays.
    func write(_ path: String) throws {
        var writer = SafetensorsWriter()
        for (name, matrix) in matrices { writer.add(name, shape: [matrix.rows, matrix.columns], matrix.values) }
        // Codes and counts below 2²⁴ are exact as floats; a greater count is only a count.
        for (name, lists) in [("clusters", clusters), ("usage", usage)] {
            for (level, list) in lists.enumerated() {
                writer.add("\(name).\(level)", shape: [list.count], list.map { Float($0) })
            }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        writer.metadata = [
            "identity": String(decoding: try encoder.encode(identity), as: UTF8.self),
            "state": String(decoding: try encoder.encode(state), as: UTF8.self),
        ]
        try FileSystem.replace(path, with: writer.bytes())
    }

    /// Reads a checkpoint and checks that it is one of this run.
    ///
    /// - Throws: `FilesError` for a file that is missing or damaged, `TokenizerFailure`
    ///   (`tokenizer.checkpoint_mismatch`) for one of other settings or data.
    init(_ path: String, of run: Identity) throws {
        let file = try Safetensors(path: path)
        func decode<T: Decodable>(_ key: String, _ type: T.Type) throws -> T {
            guard let text = file.metadata[key] else { throw FilesError.damaged(path, "'\(key)' is missing") }
            do {
                return try JSONDecoder().decode(type, from: Data(text.utf8))
            } catch {
                throw TokenizerFailure(
                    "bad_checkpoint", .invalid, "\(path) is not a checkpoint of this program",
                    remedy: "Remove it and train again.", cause: error)
            }
        }
        identity = try decode("identity", Identity.self)
        guard identity == run else {
            let what =
                identity.settings != run.settings
                ? "settings" : identity.scaling != run.scaling ? "input scaling" : "embeddings"
            throw TokenizerFailure(
                "checkpoint_mismatch", .conflict, "\(path) is of a run with other \(what)",
                remedy: "Resume with the same data and settings, or remove the checkpoint.")
        }
        state = try decode("state", TrainingState.self)
        matrices = [:]
        (clusters, usage) = ([], [])
        for (name, entry) in file.entries where entry.shape.count == 2 {
            matrices[name] = Matrix(rows: entry.shape[0], columns: entry.shape[1], try file.floats(name))
        }
        for level in 0..<run.settings.levels {
            for (name, path) in [("clusters", \TrainingCheckpoint.clusters), ("usage", \TrainingCheckpoint.usage)] {
                guard file.entries["\(name).\(level)"] != nil else { continue }
                self[keyPath: path].append(
                    try file.floats("\(name).\(level)", shape: [run.settings.codesPerLevel]).map { Int($0) })
            }
        }
    }

    init(
        identity: Identity, state: TrainingState, matrices: [String: Matrix], clusters: [[Int]], usage: [[Int]]
    ) {
        self.identity = identity
        self.state = state
        self.matrices = matrices
        self.clusters = clusters
        self.usage = usage
    }
}
