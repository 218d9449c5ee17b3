import ArgumentParser
import ControlAPI
import ControlClient

/// `letter generation list`.
struct GenerationListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all generations, oldest first.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let answer = try await connection.client().generations()
        try Output.show(answer, asJSON: output.json) {
            Table.generations(answer.generations).print()
            let warnings = answer.generations.map(\.warningText).joined()
            if !warnings.isEmpty { Terminal.write(("\n" + warnings).utf8) }
        }
    }
}
