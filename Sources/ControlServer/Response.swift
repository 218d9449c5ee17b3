import ControlAPI
import Core
import NIOCore
import NIOHTTP1

/// A whole answer.
struct Response: Sendable {
    /// The content types of answers.
    enum ContentType: String, Sendable {
        case json = "application/json"
        case lines = "application/jsonl"
        case metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    }

    var status = 200
    var type = ContentType.json
    var body: [UInt8]
    var headers: [(String, String)] = []

    /// An answer that writes itself.
    static func json(_ value: some JSONWritable) -> Response { Response(body: value.jsonBytes) }

    /// An answer that is small or rare enough for JSONEncoder.
    static func encoded(_ value: some Encodable, status: Int = 200) throws -> Response {
        Response(status: status, body: try WireJSON.encode(value))
    }

    /// The answer that reports an error.
    static func error(_ error: any Error) -> Response {
        let status =
            switch error {
            case let failure as ControlError: failure.reason.httpStatus
            case let failure as any Failure: failure.kind.httpStatus
            case is CancellationError: FailureKind.temporary.httpStatus
            default: FailureKind.internal.httpStatus
            }
        return Response(status: status, body: ErrorBody(error).json)
    }

    /// The head of an answer; `length` nil for one that is sent in chunks.
    static func head(
        status: Int, type: ContentType, length: Int?, keepAlive: Bool, headers: [(String, String)] = []
    ) -> HTTPResponseHead {
        var fields = HTTPHeaders(headers)
        fields.add(name: "content-type", value: type.rawValue)
        if let length {
            fields.add(name: "content-length", value: String(length))
        } else {
            fields.add(name: "transfer-encoding", value: "chunked")
        }
        if !keepAlive { fields.add(name: "connection", value: "close") }
        return HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: fields)
    }
}
