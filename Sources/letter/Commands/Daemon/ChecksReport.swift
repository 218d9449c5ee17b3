import ArgumentParser
import ControlAPI
import Core

extension ChecksAnswer {
    /// Prints the checks. Throws exit status 1 if one failed.
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
