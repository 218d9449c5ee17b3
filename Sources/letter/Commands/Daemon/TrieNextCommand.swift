import ArgumentParser
import ControlAPI
import ControlClient
import Core

/// `letter trie next`: the codes that may follow a prefix.
struct TrieNextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next", abstract: "Show the codes that may follow a prefix, and the number of items below it.")

    @Argument(help: "Prefix, as 12-3 or <a_12><b_3>; '' is the empty prefix.")
    var prefix: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answers = try await connection.client().next([try identifierArgument(prefix)])
        guard let answer = answers.answers.first else { throw ExitCode(1) }
        Output.show(json: answer, asJSON: output.json) {
            Terminal.line(
                "\(answer.items) items, \(answer.next.count) codes may follow (generation \(Output.number(answer.generation)))"
            )
            if !answer.next.isEmpty { Terminal.line(answer.next.map { "\($0)" }.joined(separator: " ")) }
        }
    }
}
