import ArgumentParser
import ControlAPI
import Generations
import IdentifierIndex
import Tokenizer
import Core

/// `letter index rebuild`: makes a damaged or lost index again, while the daemon does not run.
struct IndexRebuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild", abstract: "Make a damaged or lost index again from its journal.",
        discussion: """
            letterd must not run. Every item gets the identifier that it had, deleted ones keep theirs, whatever became \
            of index.sqlite: its journal, index.journal, has them. The old file is put aside as index.damaged.sqlite. At \
            its next start letterd compares everything with the catalog and encodes it anew; no identifier changes by that.
            """)

    @Option(help: ArgumentHelp("letterd's state directory.", valueName: "dir"))
    var state: String

    @Option(help: "Number of the generation; otherwise the active one.")
    var generation: Int?

    @OptionGroup var output: OutputOptions

    func run() throws {
        let directory = try StateDirectory(path: state)
        let registry = try GenerationRegistry(state: directory)
        let record = try record(of: registry)
        let model = try registry.model(record.number)
        let outcome = try IndexRebuild.run(
            path: directory.index(record.number),
            identity: .init(
                generation: record.number, levels: model.levels, codesPerLevel: model.codesPerLevel,
                model: record.model))
        try registry.close()
        let answer = Answer(
            generation: record.number, items: outcome.items, tombstones: outcome.tombstones, salvaged: outcome.salvaged,
            history: outcome.history, complete: outcome.isComplete, aside: outcome.aside)
        try Output.show(answer, asJSON: output.json) { answer.print() }
    }

    private func record(of registry: GenerationRegistry) throws -> GenerationRecord {
        if let generation { return try registry.generation(generation) }
        guard let active = try registry.generations().first(where: { $0.stage == .active }) else {
            throw CommandFailure(
                "index.no_active_generation", .notFound, "No generation of \(state) is active.",
                remedy: "Name one with --generation.")
        }
        return active
    }

    /// What is printed.
    private struct Answer: Encodable {
        var generation: Int
        var items: Int
        var tombstones: Int
        var salvaged: Int
        var history: Int
        var complete: Bool
        var aside: [String]

        func print() {
            var table = Table(.text("INDEX"), .text("generation \(generation)"))
            table.add("items with their identifiers", "\(items)")
            table.add("identifiers of deleted items", "\(tombstones)")
            table.add("rows of history", "\(history)")
            table.add("journal", complete ? "whole" : "cut short; \(salvaged) items were found in the old index alone")
            for path in aside { table.add("put aside", path) }
            table.print()
            Terminal.line("Start letterd again: it compares everything with the catalog.")
        }
    }
}
