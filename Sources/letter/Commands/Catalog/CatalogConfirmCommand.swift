import ArgumentParser
import ControlAPI
import ControlClient

/// `letter catalog confirm`: the one verb of the catalog that asks the daemon.
struct CatalogConfirmCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "confirm", abstract: "Let the daemon apply deletions that it holds back.",
        discussion: """
            When a catalog suddenly lacks more than a fifth of its items, the daemon keeps their identifiers and says so \
            in its status, for it may be the wrong file. This tells it that the items are gone for good.
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await connection.client().confirmDeletions()
        try Output.show(answer, asJSON: output.json) {
            var table = Table(.number("GENERATION"), .number("DELETIONS"), .number("ITEMS"))
            for held in answer.confirmed { table.add("\(held.generation)", "\(held.deletions)", "\(held.items)") }
            table.print()
        }
    }
}
