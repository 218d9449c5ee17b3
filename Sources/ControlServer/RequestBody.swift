import ControlAPI
import NIOCore
import NIOHTTP1
import Core

/// The body of one request, read in chunks and never past its limit.
struct RequestBody {
    /// Bytes read so far.
    private(set) var count = 0
    /// Whether all of it was read.
    private(set) var isWhole = false
    private var limit = RequestLimits.body

    /// Reads the announced size, so that a body that is too large is refused before it is sent.
    ///
    /// - Throws: `control.body_too_large`.
    mutating func check(_ head: HTTPRequestHead, limit: Int) throws {
        self.limit = limit
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > limit {
            throw tooLarge
        }
    }

    private var tooLarge: ControlError {
        ControlError(
            .bodyTooLarge, "The body has more than the \(limit) bytes that this route accepts.",
            remedy: "Send less, in several requests if necessary.")
    }

    /// Whether the rest of the body is small and certain to arrive.
    func isSmall(_ head: HTTPRequestHead) -> Bool {
        guard !isWhole, count <= limit, !head.headers.contains(name: "transfer-encoding"),
            !head.headers.contains(name: "expect")
        else { return false }
        return head.headers.first(name: "content-length").map { Int($0) ?? .max } ?? 0 <= RequestLimits.body
    }

    /// The next bytes; nil at the end, where `isWhole` is false if the connection was closed first.
    ///
    /// - Throws: `control.body_too_large`.
    mutating func next(_ parts: inout Connection.Parts) async throws -> [UInt8]? {
        while !isWhole, let part = try await parts.next(isolation: #isolation) {
            switch part {
            case .head: throw ControlError.badJSON("a request within a request")
            case .body(let buffer):
                count += buffer.readableBytes
                guard count <= limit else { throw tooLarge }
                return Array(buffer: buffer)
            case .end: isWhole = true
            }
        }
        return nil
    }

    /// The whole body.
    ///
    /// - Throws: `control.body_too_large`; `CancellationError` if the connection was closed first.
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

    /// Reads and discards the whole body.
    mutating func skip(_ parts: inout Connection.Parts) async throws {
        while try await next(&parts) != nil {}
        guard isWhole else { throw CancellationError() }
    }

    /// Reads and discards up to 8 MiB of a refused body, so that the client can read the answer before the reset.
    mutating func drain(_ parts: inout Connection.Parts) async {
        limit = max(limit, count) + 8 << 20
        while let bytes = try? await next(&parts), !bytes.isEmpty {}
    }
}
