import ArgumentParser
import ControlAPI
import ControlClient

/// `letter index verify`: checks that trie, items, journal and catalog agree.
struct IndexVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check that the trie, the items, the journal and the catalog agree.",
        discussion: """
            Checks that every record of the catalog is live or quarantined with the digest that was encoded, that no two \
            items have the same identifier (unless the policy is share), that every count of the trie is right on disk and \
            in memory, and that the journal gives the same identifiers. Takes a few seconds per million items. Exits with 1 \
            if something differs.
            """)

    @Option(help: ArgumentHelp("Number of the generation (default: the active one).", valueName: "number"))
    var generation: Int?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await connection.client().verify(generation: generation).report(asJSON: output.json)
    }
}
