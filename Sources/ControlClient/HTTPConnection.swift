import ControlAPI
import Glibc
import Core

/// One connection to the socket, and as much HTTP/1.1 as the daemon speaks. Blocks; owned by one actor.
final class HTTPConnection {
    /// The head of an answer.
    struct Head {
        var status = 0
        /// Names in lower case.
        var headers: [String: String] = [:]

        var keepsAlive: Bool { headers["connection"]?.lowercased() != "close" }
    }

    /// The far end closed before it answered a byte: a request that changes nothing may be sent again.
    struct ClosedBeforeAnswer: Error {}

    private let path: String
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var position = 0

    /// Most bytes of an answer's head.
    private static let headLimit = 64 << 10

    /// Connects; throws `control.not_running`, `control.permission_denied` or `control.socket_path_too_long`.
    init(path: String) throws {
        guard (1...107).contains(path.utf8.count), !path.utf8.contains(0) else {
            throw ControlFailure(
                "control.socket_path_too_long", .usage,
                "The socket path has \(path.utf8.count) bytes; it may have 1 to 107: \(path)",
                remedy: "Give the path that the daemon was started with.")
        }
        self.path = path
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failed("socket", path, errno) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            // Every property is set, so deinit runs, and closes.
            throw Self.failed("connect", path, errno)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private static func failed(_ call: String, _ path: String, _ reason: Int32) -> ControlFailure {
        switch reason {
        case ENOENT, ECONNREFUSED, ENOTDIR, ENOTSOCK:
            ControlFailure(
                "control.not_running", .notRunning, "No daemon answers at \(path).",
                remedy: "Start letterd, or name its socket with --socket or LETTER_SOCKET.")
        case EACCES, EPERM:
            ControlFailure(
                "control.permission_denied", .permission, "This user may not use the socket \(path).",
                remedy: "Run the command as root or as the daemon's user.")
        case EAGAIN:
            ControlFailure(
                "control.timeout", .temporary, "The daemon did not answer in time.",
                remedy: "Try again; see `letter status` for what it is busy with.")
        default:
            ControlFailure(
                "control.connection_failed", .temporary,
                "The connection to \(path) failed: \(call): \(String(cString: strerror(reason))).",
                remedy: "Try again, and look at the daemon's log if it stays.")
        }
    }

    private var cutShort: ControlFailure {
        ControlFailure(
            "control.answer_cut_short", .temporary, "The daemon closed the connection in the middle of its answer.",
            remedy: "Try again, and look at the daemon's log if it stays.")
    }

    /// How long a read or write may block.
    func setTimeout(seconds: Int) {
        var time = timeval(tv_sec: seconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, size)
    }

    /// Sends all of `bytes`. False if the far end closed: then its answer may be there to read all the same.
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
        let room = 256 << 10
        buffer.append(contentsOf: repeatElement(0, count: room))
        while true {
            let count = buffer.withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress?.advanced(by: start), room, 0)
            }
            if count < 0, errno == EINTR { continue }
            let reason = errno
            buffer.removeLast(room - max(0, count))
            if count < 0, reason != ECONNRESET { throw Self.failed("recv", path, reason) }
            return count > 0
        }
    }

    /// The next line without its end.
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
            throw ControlFailure(
                "control.not_http", .invalid, "What answers at \(path) does not speak HTTP.",
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

    /// Gives the body to `consume` as it comes. Throws `control.answer_cut_short` if it ends too early.
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
