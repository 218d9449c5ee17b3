import ControlAPI
import Core
import Generations
import Glibc
import IdentifierIndex
import Tokenizer

/// The hidden verb `letterd rebuild-index`, which `letter index rebuild` runs: rebuilds an index from its journal.
package enum RebuildIndex {
    /// Rebuilds the index of a generation and prints a `RebuildAnswer`, or the failure as an `ErrorBody`. Blocks.
    ///
    /// - Parameters:
    ///   - state: the daemon's state directory, which no daemon may be using.
    ///   - generation: the generation's number; nil for the active one.
    /// - Returns: the exit status.
    package static func run(state: String, generation: String?) -> Int32 {
        do {
            return print(try WireJSON.encode(rebuild(state: state, generation: generation)), status: 0)
        } catch {
            let report = ErrorBody(error)
            return print(report.json, status: (report.kind ?? .internal).exitCode)
        }
    }

    private static func print(_ json: [UInt8], status: Int32) -> Int32 {
        let line = json + [0x0A]
        return write(STDOUT_FILENO, line, line.count) == line.count ? status : FailureKind.unavailable.exitCode
    }

    private static func rebuild(state path: String, generation: String?) throws -> RebuildAnswer {
        let state = try StateDirectory(path: path)
        let registry = try GenerationRegistry(state: state)
        let record = try record(generation, registry, path)
        let model = try registry.model(record.number)
        let outcome = try IndexRebuild.run(
            path: state.index(record.number),
            identity: .init(
                generation: record.number, levels: model.levels, codesPerLevel: model.codesPerLevel,
                model: record.model))
        try registry.close()
        return RebuildAnswer(
            generation: record.number, items: outcome.items, tombstones: outcome.tombstones, salvaged: outcome.salvaged,
            history: outcome.history, complete: outcome.isComplete, aside: outcome.aside)
    }

    private static func record(
        _ generation: String?, _ registry: GenerationRegistry, _ state: String
    ) throws -> GenerationRecord {
        if let generation { return try registry.generation(Int(generation) ?? 0) }
        guard let active = try registry.generations().first(where: { $0.stage == .active }) else {
            throw RebuildError(
                .noActiveGeneration, "No generation of \(state) is active.", remedy: "Name one with --generation.")
        }
        return active
    }
}

/// Why a rebuild does not begin.
private typealias RebuildError = ReasonedFailure<RebuildReason>

private enum RebuildReason: String, FailureReason {
    case noActiveGeneration = "no_active_generation"

    static let module = "index"
    var kind: FailureKind { .notFound }
}
