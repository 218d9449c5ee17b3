import ArgumentParser
import ControlAPI
import ControlClient
import Core

/// `letter trie items`: live identifiers below a prefix.
struct TrieItemsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "items", abstract: "List the live identifiers below a prefix and their items, in ascending order.")

    @Argument(help: "Prefix, as 12-3 or <a_12><b_3>; '' is the empty prefix.")
    var prefix: String

    @OptionGroup var page: PageOptions
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await connection.client().identifiers(
            below: try identifierArgument(prefix), limit: page.limit, after: try page.afterIdentifier())
        Output.show(json: answer, asJSON: output.json) {
            var table = Table(.text("CODES"), .text("STATUS"), .number("GENERATION"), .text("ITEMS"))
            for identifier in answer.identifiers { table.add(identifier) }
            table.print()
            if answer.more { Terminal.error("more follow: --after \(Output.codes(answer.identifiers.last?.codes))\n") }
        }
    }
}
