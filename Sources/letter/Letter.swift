import ArgumentParser
import ControlClient
import Core
import Glibc
import Numerics

/// The command line.
@main
struct Letter: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "letter",
        abstract: "Semantic identifiers for a living catalog: queries letterd, and works on catalogs and tokenizers.",
        usage: "letter [--socket <path>] <subcommand> …",
        discussion: """
            --socket names the daemon's socket, before or after the subcommand. Without it, the socket is LETTER_SOCKET; \
            if that is not set, letter/letterd.sock in XDG_RUNTIME_DIR, or in /run for root.

            Exit status: 0 success, 1 failure or an incomplete answer, 3 no daemon answers, 64 wrong usage, 69 something \
            needed is unavailable, 75 temporary failure (try again later), 77 permission denied, 78 wrong configuration.
            """,
        version: LetterVersion.current,
        groupedSubcommands: [
            CommandGroup(
                name: "Daemon",
                subcommands: [
                    StatusCommand.self, ItemCommand.self, IdentifierCommand.self, TrieCommand.self,
                    CollisionsCommand.self, QuarantineCommand.self, DumpCommand.self, WaitCommand.self,
                    DoctorCommand.self, IndexCommand.self,
                ]),
            CommandGroup(name: "Generation", subcommands: [GenerationCommand.self]),
            CommandGroup(name: "File", subcommands: [CatalogCommand.self, TokenizerCommand.self]),
        ])

    /// Runs before anything else in the process.
    static func prepare(_ arguments: [String]) {
        // Only these commands multiply matrices; the others do not pay for starting the process a second time.
        if arguments.first == "tokenizer" { BLASKernels.reexecuteWithBestKernels() }
    }

    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        prepare(arguments)
        do {
            try await run(takeSocket(arguments))
        } catch let failure as any Failure {
            ErrorReport(failure).write(asJSON: arguments.contains("--json"))
            Glibc.exit(failure.kind.exitCode)
        } catch {
            exit(withError: error)
        }
    }

    /// Runs a command where it may block. Commands that work on files are plain ones and run here, on the main thread;
    /// those that query the daemon read standard input and write standard output between their calls, so they run on a
    /// thread of their own instead of the cooperative pool.
    private static func run(_ arguments: [String]) async throws {
        // Not checked by the compiler: commands are not Sendable, and only one of the two branches uses this one.
        nonisolated(unsafe) var command = try parseAsRoot(arguments)
        guard command is any AsyncParsableCommand else { return try command.run() }
        try await withTaskExecutorPreference(BlockingExecutor(name: "command")) {
            guard var command = command as? any AsyncParsableCommand else { return }
            try await command.run()
        }
    }

    /// Takes `--socket PATH` from before the subcommand; the subcommand's own option and the environment are read by
    /// `ConnectionOptions`.
    private static func takeSocket(_ arguments: [String]) -> [String] {
        var rest = arguments[...]
        while let first = rest.first {
            if first == "--socket", rest.count > 1 {
                ConnectionOptions.setDefault(rest[rest.startIndex + 1])
                rest = rest.dropFirst(2)
            } else if first.hasPrefix("--socket=") {
                ConnectionOptions.setDefault(String(first.dropFirst("--socket=".count)))
                rest = rest.dropFirst()
            } else {
                break
            }
        }
        return Array(rest)
    }
}
