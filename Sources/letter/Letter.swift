import ArgumentParser
import ControlClient
import Core
import Glibc
import KernelSelection

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

    /// The subcommands that multiply matrices, and the one that reports with which kernels they do. The others do not pay
    /// for executing the program twice.
    private static let usesKernels: Set<String> = ["tokenizer", "doctor"]

    static func main() async {
        let arguments = takeSocket(Array(CommandLine.arguments.dropFirst()))
        // May execute the program again, so nothing else comes before it.
        if let verb = arguments.first, usesKernels.contains(verb) { KernelSelection.apply() }
        do {
            try await run(arguments)
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
