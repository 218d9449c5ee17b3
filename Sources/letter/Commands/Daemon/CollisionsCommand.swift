import ArgumentParser
import ControlAPI
import ControlClient
import Core

/// `letter collisions`: items that did not get their natural codes.
struct CollisionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collisions", abstract: "List the items that did not get their natural codes, and why.",
        discussion: "RANK is the position of the identifier in the item's order of preference; 0 is the natural one.")

    @OptionGroup var page: PageOptions
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await connection.client().collisions(limit: page.limit, after: try page.afterItem())
        try Output.show(answer, asJSON: output.json) {
            var table = Table(
                .text("ITEM"), .text("NATURAL"), .text("GIVEN"), .number("RANK"), .text("RULE"), .text("SINCE"))
            for row in answer.collisions {
                table.add(
                    row.item.text, row.natural.description, row.given.description, "\(row.rank)", row.rule,
                    row.since.text)
            }
            table.print()
            if answer.more { Terminal.error("more follow: --after \(answer.collisions.last?.item.text ?? "")\n") }
        }
    }
}
