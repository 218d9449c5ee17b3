import ArgumentParser
import Glibc
import KernelSelection
import Core

/// The command line.
@main
struct Letter: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "letter",
        abstract: "Semantic identifiers for a living catalog: asks letterd, and works on catalogs and tokenizers.",
        usage: "letter [--socket <path>] <subcommand> …",
        discussion: """
            --socket, also accepted after the subcommand, names the daemon's socket; otherwise LETTER_SOCKET does; \
            otherwise it is letter/letterd.sock in XDG_RUNTIME_DIR, or in /run for root.

            Exit status: 0 all of it was done, 1 not all of it, 3 no daemon answers, 64 wrong usage, 69 something \
            needed is unavailable, 75 try again later, 77 not permitted, 78 wrong configuration.
            """,
        version: LetterVersion.current,
        groupedSubcommands: [
            CommandGroup(
                name: "Asking the daemon",
                subcommands: [
                    StatusCommand.self, ItemCommand.self, IdentifierCommand.self, TrieCommand.self,
                    CollisionsCommand.self, QuarantineCommand.self, DumpCommand.self, WaitCommand.self,
                    DoctorCommand.self,
                    IndexCommand.self,
                ]),
            CommandGroup(name: "Changing what it serves", subcommands: [GenerationCommand.self]),
            CommandGroup(name: "Working on files", subcommands: [CatalogCommand.self, TokenizerCommand.self]),
        ])

    /// The subcommands that multiply matrices, and the one that reports with which kernels they do. The others do not pay
    /// for executing the program twice.
    private static let usesKernels: Set<String> = ["tokenizer", "doctor"]

    static func main() async {
        let arguments = takeSocket(Array(CommandLine.arguments.dropFirst()))
        // May execute the program again, so nothing else comes before it.
        if let verb = arguments.first, usesKernels.contains(verb) { KernelSelection.apply() }
        do {
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let failure as any Failure {
            ErrorReport(failure).write(asJSON: arguments.contains("--json"))
            Glibc.exit(failure.kind.exitCode)
        } catch {
            exit(withError: error)
        }
    }

    /// Takes `--socket PATH` from before the subcommand; the subcommand's own option, and the environment, come in
    /// through `ConnectionOptions`.
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
