import ArgumentParser
import ControlAPI
import Core

/// `letter index rebuild`: rebuilds a damaged or lost index while the daemon does not run.
///
/// `letterd` does the work, so that `letter` needs neither SQLite nor the index.
struct IndexRebuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild", abstract: "Rebuild a damaged or lost index from its journal.",
        discussion: """
            letterd must not be running. Every item gets the identifier that it had, and identifiers of deleted items stay \
            reserved, whatever happened to index.sqlite: the journal, index.journal, has them. The old file is kept as \
            index.damaged.sqlite. At its next start letterd compares all items with the catalog and encodes them again; \
            that changes no identifier.
            """)

    @Option(help: ArgumentHelp("The daemon's state directory.", valueName: "dir"))
    var state: String

    @Option(help: ArgumentHelp("Number of the generation (default: the active one).", valueName: "number"))
    var generation: Int?

    @OptionGroup var output: OutputOptions

    func run() throws {
        let answer: RebuildAnswer = try DaemonProgram().ask(
            [DaemonVerb.rebuildIndex, state] + (generation.map { ["\($0)"] } ?? []))
        try Output.show(answer, asJSON: output.json) { Self.print(answer) }
    }

    private static func print(_ answer: RebuildAnswer) {
        var table = Table(.text("INDEX"), .text("generation \(answer.generation)"))
        table.add("items with their identifiers", "\(answer.items)")
        table.add("identifiers of deleted items", "\(answer.tombstones)")
        table.add("rows of history", "\(answer.history)")
        table.add(
            "journal",
            answer.complete
                ? "complete" : "cut short; \(answer.salvaged) items were found only in the old index")
        for path in answer.aside { table.add("old file kept as", path) }
        table.print()
        Terminal.line("Start letterd again: it compares all items with the catalog.")
    }
}
