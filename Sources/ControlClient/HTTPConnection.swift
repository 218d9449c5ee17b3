import ControlAPI
import Core
import Glibc

/// One connection to the socket, with the subset of HTTP/1.1 that the daemon speaks. Blocks; owned by one actor.
final class HTTPConnection {
    /// The head of an answer.
    struct Head {
        var status = 0
        /// Names in lower case.
        var headers: [String: String] = [:]

        var keepsAlive: Bool { headers["connection"]?.lowercased() != "close" }
    }

    /// The daemon closed the connection before it sent a byte: a request that changes nothing may be sent again.
    struct ClosedBeforeAnswer: Error {}

    private let path: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var position = 0

    /// Longest head of an answer, in bytes.
    private static let headLimit = 64 << 10

    /// Connects.
    ///
    /// - Throws: `control.not_running`, `control.permission_denied`, `control.socket_path_too_long` or
    ///   `control.connection_failed`.
    init(path: String) throws {
        guard let address = UnixAddress(path: path) else {
            throw ControlError(
                .socketPathTooLong, UnixAddress.message(for: path),
                remedy: "Give the path that the daemon was started with.")
        }
        self.path = path
        descriptor = UnixAddress.makeSocket()
        guard descriptor >= 0 else { throw Self.failed("socket", path, errno) }
        guard address.connect(descriptor) == 0 else {
            // Every property is set, so deinit runs and closes the descriptor.
            throw Self.failed("connect", path, errno)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private static func failed(_ call: String, _ path: String, _ reason: Int32) -> ControlError {
        switch reason {
        case ENOENT, ECONNREFUSED, ENOTDIR, ENOTSOCK:
            ControlError(
                .notRunning, "No daemon answers at \(path).",
                remedy: "Start letterd, or name its socket with --socket or LETTER_SOCKET.")
        case EACCES, EPERM:
            ControlError(
                .permissionDenied, "This user may not use the socket \(path).",
                remedy: "Run the command as root or as the daemon's user.")
        case EAGAIN:
            ControlError(
                .timeout, "The daemon did not answer in time.",
                remedy: "Try again; `letter status` shows what it is doing.")
        default:
            ControlError(
                .connectionFailed, "The connection to \(path) failed: \(call): \(String(cString: strerror(reason))).",
                remedy: "Try again, and check the daemon's log if it happens again.")
        }
    }

    private var cutShort: ControlError {
        ControlError(
            .answerCutShort, "The daemon closed the connection in the middle of its answer.",
            remedy: "Try again, and check the daemon's log if it happens again.")
    }

    /// Sets how long a read or write may block.
    func setTimeout(seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, size)
    }

    /// Sends all of `bytes`. Returns false if the daemon closed the connection; its answer may still be there to read.
    func send(_ bytes: [UInt8]) throws -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno == EPIPE || errno == ECONNRESET {
                return false
            } else if errno != EINTR {
                throw Self.failed("send", path, errno)
            }
        }
        return true
    }

    /// Reads more into the buffer; false at the end.
    private func fill() throws -> Bool {
        if position > 0 {
            buffer.removeSubrange(0..<position)
            position = 0
        }
        let start = buffer.count
        let size = 256 << 10
        buffer.append(contentsOf: repeatElement(0, count: size))
        while true {
            let count = buffer.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress?.advanced(by: start), size, 0)
            }
            if count < 0, errno == EINTR { continue }
            let reason = errno
            buffer.removeLast(size - max(0, count))
            if count < 0, reason != ECONNRESET { throw Self.failed("recv", path, reason) }
            return count > 0
        }
    }

    /// The next line without its line break; nil at the end.
    private func line() throws -> String? {
        var searched = position
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0A) {
                var content = buffer[position..<end]
                if content.last == 0x0D { content = content.dropLast() }
                position = end + 1
                return String(decoding: content, as: UTF8.self)
            }
            searched = buffer.count - position
            guard searched < Self.headLimit else { throw cutShort }
            guard try fill() else { return nil }
        }
    }

    /// Reads the head of an answer.
    func head() throws -> Head {
        guard let statusLine = try line() else {
            if position < buffer.count { throw cutShort }
            throw ClosedBeforeAnswer()
        }
        let words = statusLine.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw ControlError(
                .notHTTP, "The server at \(path) does not speak HTTP.",
                remedy: "Name letterd's own socket with --socket or LETTER_SOCKET.")
        }
        var head = Head(status: status)
        while true {
            guard let text = try line() else { throw cutShort }
            if text.isEmpty { break }
            let parts = text.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            head.headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        return (100..<200).contains(status) ? try self.head() : head
    }

    /// Passes the body to `consume` as it arrives.
    ///
    /// - Throws: `control.answer_cut_short` if it ends too early; what `consume` throws.
    func body(of head: Head, _ consume: (ArraySlice<UInt8>) throws -> Void) throws {
        if head.headers["transfer-encoding"]?.lowercased() == "chunked" {
            while true {
                guard let text = try line(), let size = Int(text.prefix { $0 != ";" }, radix: 16), size >= 0 else {
                    throw cutShort
                }
                if size == 0 { break }
                try take(size, consume)
                guard try line() == "" else { throw cutShort }
            }
            while let trailer = try line(), !trailer.isEmpty {}
        } else {
            try take(head.headers["content-length"].flatMap { Int($0) } ?? 0, consume)
        }
    }

    private func take(_ count: Int, _ consume: (ArraySlice<UInt8>) throws -> Void) throws {
        var left = count
        while left > 0 {
            if position == buffer.count {
                guard try fill() else { throw cutShort }
            }
            let end = min(buffer.count, position + left)
            try consume(buffer[position..<end])
            left -= end - position
            position = end
        }
    }
}
