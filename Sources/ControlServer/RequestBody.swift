import ControlAPI
import NIOCore
import NIOHTTP1
import Core

/// The body of one request, taken part by part and never past its limit.
struct RequestBody {
    /// Size that the client announced.
    private(set) var length: Int?
    /// Bytes taken so far.
    private(set) var count = 0
    /// Whether its end has come.
    private(set) var isWhole = false
    private var limit = RequestLimits.body

    /// Reads the announced size and refuses it before the body comes if it is too much.
    mutating func check(_ head: HTTPRequestHead, limit: Int) throws {
        self.limit = limit
        length = head.headers.first(name: "content-length").flatMap { Int($0) }
        if let length, length > limit { throw tooLarge }
    }

    private var tooLarge: ControlFailure {
        ControlFailure(
            "control.body_too_large", .usage, "The body has more than the \(limit) bytes that this route takes.",
            remedy: "Send less, in several requests if need be.", httpStatus: 413)
    }

    /// Whether what the client still sends is little, and sure to come.
    func isSmall(_ head: HTTPRequestHead) -> Bool {
        guard !isWhole, count <= limit, !head.headers.contains(name: "transfer-encoding"),
            !head.headers.contains(name: "expect")
        else { return false }
        return head.headers.first(name: "content-length").map { Int($0) ?? .max } ?? 0 <= RequestLimits.body
    }

    /// The next bytes, or nil at the end; `isWhole` tells whether it was the body's own.
    mutating func next(_ parts: inout Connection.Parts) async throws -> [UInt8]? {
        while !isWhole, let part = try await parts.next(isolation: #isolation) {
            switch part {
            case .head: throw ControlFailure.badJSON("a request within a request")
            case .body(let buffer):
                count += buffer.readableBytes
                guard count <= limit else { throw tooLarge }
                return Array(buffer: buffer)
            case .end: isWhole = true
            }
        }
        return nil
    }

    /// All of it.
    mutating func collect(_ parts: inout Connection.Parts) async throws -> [UInt8] {
        var result: [UInt8] = []
        while let bytes = try await next(&parts) {
            if result.isEmpty {
                result = bytes
            } else {
                result.append(contentsOf: bytes)
            }
        }
        guard isWhole else { throw CancellationError() }
        return result
    }

    /// Takes and drops all of it.
    mutating func skip(_ parts: inout Connection.Parts) async throws {
        while try await next(&parts) != nil {}
        guard isWhole else { throw CancellationError() }
    }

    /// Takes and drops what still comes of a refused body, up to 8 MiB, so that the client gets to read its answer.
    mutating func drain(_ parts: inout Connection.Parts) async {
        limit = max(limit, count) + 8 << 20
        while let bytes = try? await next(&parts), !bytes.isEmpty {}
    }
}
