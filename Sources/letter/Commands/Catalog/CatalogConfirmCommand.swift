import ArgumentParser
import ControlAPI
import ControlClient

/// `letter catalog confirm`: the one command of the catalog that calls the daemon.
struct CatalogConfirmCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "confirm", abstract: "Confirm mass deletions that the daemon holds back.",
        discussion: """
            If more than a fifth of its items disappear from a catalog at once, the daemon keeps their identifiers and \
            reports a problem in its status, because the file may be the wrong one. This command confirms that the items \
            were deleted.
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
