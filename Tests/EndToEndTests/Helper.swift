import Foundation
import Synchronization
import TestSupport
import Testing

/// A Python script of Support that goes on beside the test: it says something, waits for the end of its input, and may
/// then say something more.
final class Helper: Sendable {
    private let process = Mutex<Process?>(nil)
    private let input = Pipe()
    private let output: String
    private let errors: String

    /// Starts a script; `site` keeps its output.
    init(_ site: Site, _ script: String, _ arguments: String...) throws {
        let name = "helper-\(UInt64.random(in: 0..<(1 << 40)))"
        (output, errors) = (site.folder[name], site.folder[name + ".err"])
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = [Site.scripts + script] + arguments
        for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
        process.standardInput = input
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        self.process.withLock { $0 = process }
    }

    deinit { process.withLock { $0?.terminate() } }

    private var lines: [String] {
        let text = (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    private func object(_ line: String) throws -> [String: Any] {
        try #require(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    private var isRunning: Bool { process.withLock { $0?.isRunning ?? false } }

    /// What it said first.
    @discardableResult
    func ready(at location: SourceLocation = #_sourceLocation) async throws -> [String: Any] {
        while lines.isEmpty, isRunning { try await Task.sleep(for: .milliseconds(5)) }
        let why = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
        return try object(#require(lines.first, "\(why)", sourceLocation: location))
    }

    /// Ends its input and waits for its end. Returns what it said last.
    @discardableResult
    func finish(at location: SourceLocation = #_sourceLocation) async throws -> [String: Any] {
        try input.fileHandleForWriting.close()
        while isRunning { try await Task.sleep(for: .milliseconds(5)) }
        let why = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
        return try object(#require(lines.last, "\(why)", sourceLocation: location))
    }

    /// Kills it and waits for its end.
    func kill() async throws {
        let process = process.withLock { $0 }
        if let process { Foundation.kill(process.processIdentifier, SIGKILL) }
        while process?.isRunning == true { try await Task.sleep(for: .milliseconds(5)) }
    }
}

/// How long or how often the tests of faults go on: 1 in CI, more where `LETTER_TORTURE` says so.
let tortureFactor = max(1, ProcessInfo.processInfo.environment["LETTER_TORTURE"].flatMap(Int.init) ?? 1)

/// The codes of problems in a status.
func problems(_ status: [String: Any]) -> [String] {
    (status["problems"] as? [[String: Any]] ?? []).compactMap { $0["code"] as? String }
}

extension Site {
    /// A site with a catalog of random vectors, a daemon and the frozen tokenizer published.
    static func serving(items: Int, _ extra: String..., environment: [String: String] = [:]) async throws -> Site {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "\(items)", "--prefix", "item-")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        try site.launch(extra, environment: environment)
        try await site.status { _ in true }
        try await site.letterOK("generation", "publish", site.folder["model"])
        try await site.letterOK("wait", "--caught-up")
        return site
    }

    /// Runs a script that must succeed, and reads the JSON object that it prints last.
    func answer(
        _ script: String, _ arguments: String..., at location: SourceLocation = #_sourceLocation
    ) async throws -> [String: Any] {
        let result = try await Self.run("/usr/bin/python3", [Self.scripts + script] + arguments)
        #expect(
            result.status == 0, "\(script) \(arguments): \(result.output.prefix(2_000)) \(result.errors)",
            sourceLocation: location)
        let last = result.output.split(separator: "\n").last ?? "{}"
        return try #require(JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: Any])
    }

    /// Items and identifiers as the daemon has them now, a line each.
    func lines() async throws -> Set<Substring> { Set(try await letterOK("dump").output.split(separator: "\n")) }
}
