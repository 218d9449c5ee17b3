import ArgumentParser
import ControlAPI
import ControlClient

/// `letter generation promote`.
struct GenerationPromoteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote", abstract: "Make a generation the active one.",
        discussion: "To roll back, promote a retired generation.")

    @Argument(help: "Number of the generation.")
    var generation: Int

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let info = try await connection.client().promote(generation)
        try Output.show(info, asJSON: output.json) {
            Table.generations([info]).print()
            Terminal.error(info.warningText)
        }
    }
}
