import ArgumentParser
import ControlAPI
import ControlClient

/// `letter wait`: waits until the daemon is up to date with every commit so far.
struct WaitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait until the daemon has caught up with the catalog.",
        discussion: "Exits with 75 if that takes longer than the timeout.")

    @Flag(help: "Wait until the index is up to date with every commit made so far. Required.")
    var caughtUp = false

    @Option(help: "Longest wait, such as 500ms, 30s, 5m or 1h. (default: 30s)", transform: Self.seconds)
    var timeout = 30.0

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard caughtUp else { throw ValidationError("Say what to wait for: --caught-up.") }
    }

    func run() async throws {
        let status = try await connection.client().waitCaughtUp(timeoutSeconds: timeout)
        if output.json { try Output.show(status, asJSON: true) {} }
    }

    /// Reads a time such as `30s`; a bare number is seconds.
    static func seconds(_ text: String) throws -> Double {
        let units = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]
        let (suffix, factor) = units.first { text.hasSuffix($0.0) } ?? ("", 1)
        guard let value = Double(text.dropLast(suffix.count)), (0...RequestLimits.waitSeconds).contains(value * factor)
        else { throw ValidationError("‘\(text)’ is not a time from 0 to 1h, such as 500ms, 30s or 5m.") }
        return value * factor
    }
}
