import Foundation
import TestSupport
import Testing

/// Rows 1 to 11 of the acceptance table in their short form; `Tools/torture` runs the same scenarios at full length.
///
/// A scenario is a Python program (Support/torture) that starts the real executables, harms them, and judges what is left
/// with its own reading of catalog, tokenizer and SQLite files.
@Suite("Faults on purpose", .serialized, .timeLimit(.minutes(10)))
struct CrashTests {
    /// The rows, and what each is about.
    enum Row: Int, CaseIterable, Sendable, CustomTestStringConvertible {
        case killedDaemon = 1
        case killedAtCall, killedWriter, powerLoss, publishOrder, diskFull, fileSizeLimit, failingSync, damagedFiles
        case foreignFiles, heldElsewhere

        var testDescription: String { "row \(rawValue), \(String(describing: self))" }
    }

    @Test(arguments: Row.allCases)
    func `nothing is lost, doubled or renumbered`(row: Row) async throws {
        var arguments = [Site.scripts + "torture", "--letterd", Site.products + "/letterd"]
        arguments += ["--letter", Site.products + "/letter", "--short", "--rows", "\(row.rawValue)"]
        if let seed = ProcessInfo.processInfo.environment["LETTER_TORTURE_SEED"] { arguments += ["--seed", seed] }
        let result = try await Site.run("/usr/bin/python3", arguments)
        print(result.output)
        if result.status == 77 {
            try Test.cancel("\(result.output)")
        }
        #expect(result.status == 0, "\(result.output) \(result.errors)")
    }
}
