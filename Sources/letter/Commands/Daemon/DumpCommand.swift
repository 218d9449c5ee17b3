import ArgumentParser
import ControlClient

/// `letter dump`: every live item and its identifier.
struct DumpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Print all live items of the active generation with their codes, in key order, as JSON lines.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await connection.client().dump { Terminal.write($0) }
    }
}
