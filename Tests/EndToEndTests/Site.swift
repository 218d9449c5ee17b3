import Foundation
import Synchronization
import TestSupport
import Testing

/// A catalog, a state directory and the real executables, in a folder of their own.
final class Site: Sendable {
    let folder = TemporaryDirectory()
    private let daemon = Mutex<Process?>(nil)

    var catalog: String { folder["catalog"] }
    var state: String { folder["state"] }
    var socket: String { folder["s.sock"] }

    deinit { daemon.withLock { $0?.terminate() } }

    /// How a command ended.
    struct Result: Sendable {
        var status: Int32
        var output: String
        var errors: String

        func json() throws -> Any {
            try JSONSerialization.jsonObject(with: Data(output.utf8), options: [.fragmentsAllowed])
        }
    }

    /// Folder of the executables: the tests' own product lies beside them.
    static let products: String = {
        let path = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: path).deletingLastPathComponent().path
    }()

    /// Folder of the Python scripts.
    static let scripts = SharedData.packageRoot + "/Tests/EndToEndTests/Support/"

    /// The environment of the tests and some more variables. Without OPENBLAS_CORETYPE, which `letter` would respect: the
    /// tests' own kernels are no choice of a user.
    static func environment(_ more: [String: String] = [:]) -> [String: String] {
        var environment = ProcessInfo.processInfo.environment
        environment["OPENBLAS_CORETYPE"] = nil
        return environment.merging(more) { $1 }
    }

    /// Runs a program to its end. `input` is written to its standard input.
    static func run(_ program: String, _ arguments: [String], input: String = "", environment: [String: String] = [:])
        async throws -> Result
    {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = Self.environment(environment)
        // Files, not pipes: a pipe that nobody drains while we wait would block the program.
        let folder = TemporaryDirectory()
        for name in ["in", "out", "err"] { _ = FileManager.default.createFile(atPath: folder[name], contents: nil) }
        try input.write(toFile: folder["in"], atomically: false, encoding: .utf8)
        let handles = [
            FileHandle(forReadingAtPath: folder["in"]), FileHandle(forWritingAtPath: folder["out"]),
            FileHandle(forWritingAtPath: folder["err"]),
        ]
        // A run of the tests starts thousands of programs, and a process object may outlive its program.
        defer { for handle in handles { try? handle?.close() } }
        process.standardInput = handles[0]
        process.standardOutput = handles[1]
        process.standardError = handles[2]
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in continuation.resume() }
            do { try process.run() } catch {
                process.terminationHandler = nil
                continuation.resume(throwing: error)
            }
        }
        return Result(
            status: process.terminationStatus, output: try String(contentsOfFile: folder["out"], encoding: .utf8),
            errors: try String(contentsOfFile: folder["err"], encoding: .utf8))
    }

    /// Runs `letter` against this site's socket.
    func letter(_ arguments: String..., input: String = "") async throws -> Result {
        try await Self.run(
            Self.products + "/letter", arguments, input: input, environment: ["LETTER_SOCKET": socket])
    }

    func letter(arguments: [String]) async throws -> Result {
        try await Self.run(Self.products + "/letter", arguments, environment: ["LETTER_SOCKET": socket])
    }

    /// Runs `letter`, which must succeed.
    @discardableResult
    func letterOK(_ arguments: String..., input: String = "", at location: SourceLocation = #_sourceLocation)
        async throws -> Result
    {
        let result = try await Self.run(
            Self.products + "/letter", arguments, input: input, environment: ["LETTER_SOCKET": socket])
        #expect(result.status == 0, "letter \(arguments): \(result.errors)", sourceLocation: location)
        return result
    }

    /// Runs a Python script of Support, which must succeed, with Debian's Python and its lmdb module.
    @discardableResult
    func python(_ script: String, _ arguments: String..., at location: SourceLocation = #_sourceLocation) async throws
        -> Result
    {
        let result = try await Self.run("/usr/bin/python3", [Self.scripts + script] + arguments)
        #expect(
            result.status == 0, "\(script) \(arguments): \(result.output.prefix(2_000)) \(result.errors)",
            sourceLocation: location)
        return result
    }

    /// Keeps a result's output as a file.
    func save(_ result: Result, as name: String) throws -> String {
        try result.output.write(toFile: folder[name], atomically: false, encoding: .utf8)
        return folder[name]
    }

    /// `letter dump` as a file.
    func dump(as name: String) async throws -> String { try save(try await letterOK("dump"), as: name) }

    // MARK: - The daemon

    /// Starts letterd and waits until it answers.
    ///
    /// - Parameters:
    ///   - prefix: a program and its arguments that execute letterd, such as setpriv.
    ///   - environment: variables it has besides the tests' own.
    func start(
        _ extra: String..., state: String? = nil, through prefix: [String] = [], environment: [String: String] = [:]
    ) async throws {
        try launch(extra, state: state, through: prefix, environment: environment)
        for _ in 0..<400 {
            if try await letter("status", "--json").status == 0 { return }
            try await Task.sleep(for: .milliseconds(25))
        }
        Issue.record("letterd does not answer: \(logText)")
    }

    /// Starts letterd.
    func launch(
        _ extra: [String] = [], state: String? = nil, through prefix: [String] = [], environment: [String: String] = [:]
    ) throws {
        let process = Process()
        // The product has no way to cause faults; a daemon that is built for tests has.
        let isFaulty = environment.keys.contains { $0.hasPrefix("LETTER_TEST_") }
        let command =
            prefix + [
                Self.products + (isFaulty ? "/FaultyLetterd" : "/letterd"), "--catalog", catalog, "--state",
                state ?? self.state,
            ]
            + ["--socket", socket] + extra
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.environment = Self.environment(environment)
        let log = folder["letterd.log"]
        if !FileManager.default.fileExists(atPath: log) {
            _ = FileManager.default.createFile(atPath: log, contents: nil)
        }
        let handle = FileHandle(forWritingAtPath: log)
        handle?.seekToEndOfFile()
        process.standardError = handle
        process.standardInput = FileHandle.nullDevice
        try process.run()
        daemon.withLock { $0 = process }
    }

    /// The signal that ended the daemon; nil while it runs or if it ended by itself.
    var endedBy: Int32? {
        daemon.withLock {
            guard let process = $0, !process.isRunning, process.terminationReason == .uncaughtSignal else { return nil }
            return process.terminationStatus
        }
    }

    /// Waits for a status that satisfies a condition; the last one is told if it does not come.
    @discardableResult
    func status(
        within limit: Duration = .seconds(30), at location: SourceLocation = #_sourceLocation,
        where condition: ([String: Any]) -> Bool
    ) async throws -> [String: Any] {
        let deadline = ContinuousClock.now + limit
        var last: [String: Any] = [:]
        repeat {
            let answer = try await letter("status", "--json")
            if answer.status == 0, let status = try answer.json() as? [String: Any] {
                last = status
                if condition(last) { return last }
            }
            try await Task.sleep(for: .milliseconds(20))
        } while ContinuousClock.now < deadline
        Issue.record("the status did not become what it should: \(last) \(logText)", sourceLocation: location)
        return last
    }

    /// Runs a letterd that is expected to end by itself.
    func failingDaemon(catalog: String? = nil, state: String? = nil, socket: String? = nil) async throws -> Result {
        try await Self.run(
            Self.products + "/letterd",
            ["--catalog", catalog ?? self.catalog, "--state", state ?? self.state, "--socket", socket ?? self.socket])
    }

    var logText: String { (try? String(contentsOfFile: folder["letterd.log"], encoding: .utf8)) ?? "" }

    /// Process id of the daemon.
    var pid: pid_t { daemon.withLock { $0?.processIdentifier } ?? 0 }

    /// Sends a signal to the daemon and waits for its end. Returns its exit status.
    @discardableResult
    func stop(_ signal: Int32 = SIGTERM) async throws -> Int32 {
        guard let process = daemon.withLock({ $0.take() }) else { return -1 }
        kill(process.processIdentifier, signal)
        while process.isRunning { try await Task.sleep(for: .milliseconds(5)) }
        return process.terminationStatus
    }

    /// `letter status --json` as an object.
    func status() async throws -> [String: Any] {
        try #require(try await letterOK("status", "--json").json() as? [String: Any])
    }
}

/// The frozen tokenizer that the tokenizer's tests also use.
let frozenTokenizer =
    SharedData.packageRoot + "/Tests/TokenizerFixtures/Fixtures/scientific-frozen-tokenizer.safetensors"
