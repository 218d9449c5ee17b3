import ArgumentParser
import ControlAPI
import ControlClient
import Core
import KernelSelection

/// `letter doctor`: checks a daemon and its files.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check the daemon's files, catalog and socket, and say how to fix what is wrong.",
        discussion: """
            Exits with 1 if a check failed. --deep also checks that the data structures of each index agree: items, \
            identifiers, the trie on disk and in memory, counts and journal. That takes a few seconds per million items; \
            the daemon keeps working meanwhile.
            """)

    @Flag(help: "Also check that the data structures of each index agree.")
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
