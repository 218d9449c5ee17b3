import ControlAPI
import ControlServer
import Foundation
import Glibc
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

extension TemporaryDirectory {
    var socket: String { self["s"] }
}

extension ControlServer.Limits {
    /// For tests that are not about time limits: on a busy machine a megabyte may take longer than the default.
    static var generous: Self {
        var limits = Self()
        limits.request = .seconds(60)
        return limits
    }
}

extension Logger {
    /// A logger that discards everything.
    static var silent: Logger { Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }) }

    /// A logger that adds its lines to `lines`.
    static func recording(_ lines: RecordedLines) -> Logger {
        Logger(label: "test", factory: { _ in RecordingLogHandler(lines: lines) })
    }
}

/// The lines of a log: level, message, metadata.
final class RecordedLines: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
}

private struct RecordingLogHandler: LogHandler {
    let lines: RecordedLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    init(lines: RecordedLines) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        lines.add("\(event.level) \(event.message) \(fields.joined(separator: " "))")
    }
}

/// Runs `body` against a server on a socket of its own, and stops it.
func withServer<Result: Sendable>(
    _ service: MemoryService = MemoryService(), limits: ControlServer.Limits = .generous,
    writers: Set<UInt32> = ControlServer.owners, logger: Logger = .silent,
    _ body: @Sendable (String) async throws -> Result
) async throws -> Result {
    let directory = TemporaryDirectory()
    let server = ControlServer(
        socket: try ControlSocket(path: directory.socket), service: service, limits: limits, writers: writers,
        logger: logger)
    let run = Task { try await server.run() }
    // The socket exists a moment before the server listens.
    while (try? await onThread { _ = try RawClient(directory.socket) }) == nil {
        try await Task.sleep(for: .milliseconds(5))
    }
    do {
        let result = try await body(directory.socket)
        run.cancel()
        try await run.value
        #expect(access(directory.socket, F_OK) != 0, "the socket is removed at the end")
        return result
    } catch {
        run.cancel()
        _ = await run.result
        throw error
    }
}

/// Runs blocking work on a thread of its own: a test that blocks the cooperative pool blocks the server too.
func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
    }
}

/// A client that sends any bytes, valid HTTP or not. Blocks.
final class RawClient {
    struct Refused: Error {}
    struct Answer: Sendable {
        var status: Int
        var head: String
        var body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
        var error: ErrorBody? { try? JSONDecoder().decode(ErrorBody.self, from: Data(body)) }
    }

    private let descriptor: Int32
    private var buffer: [UInt8] = []

    /// Waits until the server has closed the connection, without reading. Returns whether it did within `seconds`.
    func isClosed(within seconds: Int32) -> Bool {
        var watched = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&watched, 1, seconds * 1_000) == 1 && watched.revents & Int16(POLLHUP) != 0
    }

    init(_ path: String) throws {
        descriptor = UnixAddress.makeSocket()
        let result = UnixAddress(path: path)?.connect(descriptor) ?? -1
        var time = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        guard result == 0 else { throw Refused() }
    }

    deinit { close(descriptor) }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Reads more bytes into the buffer; false at the end.
    func fill() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return false }
        buffer += bytes.prefix(count)
        return true
    }

    /// Everything until the server closes the connection.
    func rest() -> [UInt8] {
        while fill() {}
        return buffer
    }

    /// One answer; nil if the server closed the connection instead.
    func answer() -> Answer? {
        let end = Array("\r\n\r\n".utf8)
        var range = buffer.firstRange(of: end)
        while range == nil {
            guard fill() else { return nil }
            range = buffer.firstRange(of: end)
        }
        guard let range else { return nil }
        let head = String(decoding: buffer[..<range.lowerBound], as: UTF8.self).lowercased()
        let lines = head.split(separator: "\r\n")
        let length =
            lines.first { $0.hasPrefix("content-length:") }.flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
        while buffer.count < range.upperBound + length { guard fill() else { return nil } }
        let body = Array(buffer[range.upperBound..<(range.upperBound + length)])
        buffer.removeSubrange(..<(range.upperBound + length))
        return Answer(status: Int(head.split(separator: " ")[1]) ?? 0, head: head, body: body)
    }

    func get(_ target: String) -> Answer? {
        send("GET \(target) HTTP/1.1\r\nhost: x\r\n\r\n")
        return answer()
    }

    func post(_ target: String, _ body: String, method: String = "POST") -> Answer? {
        send("\(method) \(target) HTTP/1.1\r\nhost: x\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
        return answer()
    }
}
