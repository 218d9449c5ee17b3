import ArgumentParser
import ControlAPI
import ControlClient
import Core

/// `letter quarantine`: items whose records cannot be encoded.
struct QuarantineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine", abstract: "List the items whose records cannot be encoded, and why.")

    @OptionGroup var page: PageOptions
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await connection.client().quarantine(limit: page.limit, after: try page.afterItem())
        try Output.show(answer, asJSON: output.json) {
            var table = Table(.text("ITEM"), .text("SINCE"), .text("REASON"))
            for row in answer.quarantined { table.add(row.item.text, row.since.text, row.reason) }
            table.print()
            if answer.more { Terminal.error("more follow: --after \(answer.quarantined.last?.item.text ?? "")\n") }
        }
    }
}
