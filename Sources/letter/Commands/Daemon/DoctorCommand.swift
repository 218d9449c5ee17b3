import ArgumentParser
import ControlAPI
import ControlClient
import KernelSelection

/// `letter doctor`: whether all is well with a daemon and its files.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check the daemon's files, catalog and socket; say what to do about what is wrong.",
        discussion: """
            Exit status 1 if a check failed. --deep also proves that the items, the identifiers, the trie on the disk and \
            in memory, the counts and the journal of each index say the same: a few seconds a million items, while the \
            daemon goes on working.
            """)

    @Flag(help: "Also prove that the parts of each index say the same.")
    var deep = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    /// Whether this program, which trains, uses the best of OpenBLAS's kernels. The daemon cannot know, because it does not
    /// use OpenBLAS.
    private static var kernels: Check {
        let report = KernelSelection.report
        return Check(
            subject: "letter", name: "kernels", outcome: report.isBest ? .ok : .failed,
            detail: "OpenBLAS: \(report.detail)", remedy: report.remedy)
    }

    func run() async throws {
        let answer = try await connection.client().doctor(deep: deep)
        try ChecksAnswer(checks: answer.checks + [Self.kernels]).report(asJSON: output.json)
    }
}

extension ChecksAnswer {
    /// Prints the checks, and ends with status 1 if one failed.
    func report(asJSON: Bool) throws {
        try Output.show(self, asJSON: asJSON) {
            var table = Table(.text("SUBJECT"), .text("CHECK"), .text("RESULT"), .number("MS"), .text("FOUND"))
            for check in checks {
                table.add(
                    check.subject, check.name, check.outcome.rawValue, "\(Int(check.tookMs.rounded()))", check.detail)
            }
            table.print()
            for check in checks where check.outcome == .failed {
                Terminal.line("")
                Terminal.line("failed: \(check.subject), \(check.name): \(check.detail)")
                if let remedy = check.remedy { Terminal.line("        \(remedy)") }
            }
        }
        if !ok { throw ExitCode(1) }
    }
}
