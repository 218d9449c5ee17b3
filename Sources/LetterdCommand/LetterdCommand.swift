public import ArgumentParser
import ControlAPI
package import Daemon
import Glibc
import Synchronization
public import Logging
import Core

/// The command line of letterd: reads options and configuration, and runs the daemon.
///
/// A target of its own, so that tests can run the same daemon with faults injected (`DaemonHooks`), which the product has
/// no way to ask for.
package struct LetterdCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
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

    @Option(help: "Path of the control socket (default: LETTER_SOCKET, else the same default as `letter`).")
    var socket: String?

    @Option(help: "YAML file with settings that the options do not give; Schema/config.schema.json describes it.")
    var config: String?

    @Option(help: "Least severe messages to log: trace, debug, info, notice, warning, error (default: info).")
    var logLevel: Logger.Level?

    @Option(help: "Milliseconds between two polls of the catalog (default: 50).")
    var pollInterval: Int?

    package init() {}

    package func validate() throws {
        guard (1...60_000).contains(pollInterval ?? 50) else {
            throw ValidationError("--poll-interval takes 1 to 60000 milliseconds.")
        }
        guard config != nil || (catalog != nil && state != nil) else {
            throw ValidationError("Give --catalog and --state, or a --config that does.")
        }
    }

    package func run() async throws {
        do {
            try await start()
        } catch let failure as any Failure {
            let line = Array("letterd: \(failure.description)\n".utf8)
            // If the message cannot be written, the exit code still reports the failure.
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
        configuration.hooks = Self.injected.withLock { $0 }
        var logger = Logger(label: "letterd") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = logLevel ?? file.logLevel ?? .info
        try await LetterDaemon(configuration: configuration, logger: logger).run()
    }

    /// Runs the command with these hooks; ends the process where it fails.
    package static func main(hooks: DaemonHooks) async {
        // Not for users: letterd runs the one in a child process, and `letter index rebuild` runs the other.
        let arguments = CommandLine.arguments
        if arguments.count == 3, arguments[1] == VerifyCatalog.verb { Glibc.exit(VerifyCatalog.run(arguments[2])) }
        if arguments.count >= 3, arguments[1] == DaemonVerb.rebuildIndex {
            Glibc.exit(RebuildIndex.run(state: arguments[2], generation: arguments.dropFirst(3).first))
        }
        injected.withLock { $0 = hooks }
        await main(nil)
    }

    /// What `main(hooks:)` was given: commands are made by their parser, which takes no arguments of ours.
    private static let injected = Mutex(DaemonHooks())
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
