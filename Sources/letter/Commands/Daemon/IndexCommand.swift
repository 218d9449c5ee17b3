import ArgumentParser
import ControlAPI
import ControlClient

/// `letter index`: proving an index, and making it again.
struct IndexCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index", abstract: "Prove an index, or make it again from its journal.",
        subcommands: [IndexVerifyCommand.self, IndexRebuildCommand.self, IndexBenchmarkCommand.self])
}

/// `letter index verify`: whether trie, items and catalog say the same.
struct IndexVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Prove that the trie, the items and the catalog say the same.",
        discussion: """
            Every record of the catalog is live or quarantined with the digest that was encoded, every item has an \
            identifier that nobody else has, every count of the trie is what a recount gives, on the disk and in memory, \
            and the journal adds up to the same. A few seconds a million items. Exit status 1 if something differs.
            """)

    @Option(help: "Number of the generation; otherwise the active one.")
    var generation: Int?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await connection.client().verify(generation: generation).report(asJSON: output.json)
    }
}
