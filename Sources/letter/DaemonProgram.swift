import ControlAPI
import Core
import Foundation

/// The program `letterd`, run for one of its hidden verbs: it does the work, prints its answer as JSON, and ends.
struct DaemonProgram {
    private let path: String

    /// Finds `letterd` in the folder of this program, else on the PATH.
    ///
    /// - Throws: `letter.no_letterd`.
    init() throws {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let folders =
            [URL(filePath: own).deletingLastPathComponent().path]
            + (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let paths = folders.map { "\($0)/letterd" }
        guard let path = paths.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw LetterError(
                .noDaemonProgram, "letterd is neither in the folder of letter, \(folders[0]), nor on the PATH.",
                remedy: "Install it next to letter, or add its folder to PATH.")
        }
        self.path = path
    }

    /// Runs a verb and waits for its answer. Blocks.
    ///
    /// - Throws: the failure that `letterd` reports, as a `RemoteFailure`; `letter.letterd_failed` if it reports none.
    func ask<Answer: Decodable>(_ arguments: [String]) throws -> Answer {
        let process = Process()
        process.executableURL = URL(filePath: path)
        process.arguments = arguments
        let output = Pipe()
        process.standardOutput = output
        do { try process.run() } catch { throw failed("cannot be run", cause: error) }
        let json = Array(output.fileHandleForReading.readDataToEndOfFile())
        process.waitUntilExit()
        let isDone = process.terminationReason == .exit && process.terminationStatus == 0
        if isDone, let answer = try? WireJSON.decode(Answer.self, from: json) { return answer }
        if let report = try? WireJSON.decode(ErrorBody.self, from: json) { throw report.failure(httpStatus: 500) }
        let how = process.terminationReason == .exit ? "status" : "signal"
        throw failed("ended with \(how) \(process.terminationStatus) and without an answer", cause: nil)
    }

    private func failed(_ what: String, cause: (any Error)?) -> LetterError {
        LetterError(
            .daemonProgramFailed, "\(path) \(what).",
            remedy: "Check that letter and letterd are of the same version, and what letterd printed.", cause: cause)
    }
}
