import ArgumentParser
import ControlAPI
import ControlClient
import Core

/// `letter trie next`: which codes may follow a prefix.
struct TrieNextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next", abstract: "Show which codes may follow a prefix, and how many items are below it.")

    @Argument(help: "The prefix, as 12-3 or <a_12><b_3>; '' is the empty one.")
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
