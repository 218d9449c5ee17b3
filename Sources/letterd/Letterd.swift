public import ArgumentParser
import ControlAPI
import Daemon
import Glibc
public import Logging
import Core

@main
struct Letterd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "letterd", abstract: "Keeps a semantic-identifier index over an item catalog.",
        discussion: """
            letterd watches an LMDB catalog, gives every item its identifier with a frozen tokenizer, and answers over a \
            Unix socket; `letter` is its command line. It runs in the foreground, logs to standard error, and ends on \
            SIGTERM or SIGINT.
            """, version: LetterVersion.current)

    @Option(help: "Folder of the catalog.")
    var catalog: String?

    @Option(help: "Folder that letterd owns: registry, generations, indexes.")
    var state: String?

    @Option(help: "Path of the control socket (default: LETTER_SOCKET, else as `letter` looks for it).")
    var socket: String?

    @Option(help: "YAML file that gives what the options do not; Schema/config.schema.json describes it.")
    var config: String?

    @Option(help: "Least severe messages to log: trace, debug, info, notice, warning, error (default: info).")
    var logLevel: Logger.Level?

    @Option(help: "Milliseconds between two looks at the catalog (default: 50).")
    var pollInterval: Int?

    func validate() throws {
        guard (1...60_000).contains(pollInterval ?? 50) else {
            throw ValidationError("--poll-interval takes 1 to 60000 milliseconds.")
        }
        guard config != nil || (catalog != nil && state != nil) else {
            throw ValidationError("Give --catalog and --state, or a --config that does.")
        }
    }

    func run() async throws {
        do {
            try await start()
        } catch let failure as any Failure {
            let line = Array("letterd: \(failure.description)\n".utf8)
            // Nothing can be done if the message cannot be written; the exit code still says what it was.
            _ = write(STDERR_FILENO, line, line.count)
            throw ExitCode(failure.kind.exitCode)
        }
    }

    private func start() async throws {
        let file = try config.map { try ConfigurationFile(path: $0) } ?? ConfigurationFile()
        guard let catalog = catalog ?? file.catalog, let state = state ?? file.state else {
            throw ValidationError("Neither the options nor the configuration name both catalog and state.")
        }
        var configuration = LetterDaemon.Configuration(
            catalog: catalog, state: state, socket: socket ?? file.socket ?? SocketPath.standard)
        if let interval = pollInterval ?? file.pollInterval { configuration.pollInterval = .milliseconds(interval) }
        if let interval = file.readerCheckInterval { configuration.readerCheckInterval = .milliseconds(interval) }
        if let readers = file.readers { configuration.readers = readers }
        if let policy = file.collisionPolicy { configuration.collisionPolicy = policy }
        configuration.rules = file.rules
        if let access = file.socketAccess { configuration.socketAccess = access }
        configuration.writers = file.writers ?? []
        var logger = Logger(label: "letterd") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = logLevel ?? file.logLevel ?? .info
        try await LetterDaemon(configuration: configuration, logger: logger).run()
    }

    static func main() async {
        // Not for users: letterd runs the one in a child process, and `letter index rebuild` runs the other.
        let arguments = CommandLine.arguments
        if arguments.count == 3, arguments[1] == VerifyCatalog.verb { Glibc.exit(VerifyCatalog.run(arguments[2])) }
        if arguments.count >= 3, arguments[1] == DaemonVerb.rebuildIndex {
            Glibc.exit(RebuildIndex.run(state: arguments[2], generation: arguments.dropFirst(3).first))
        }
        await main(nil)
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
