import ControlAPI
import FoundationEssentials
import NIOCore
import NIOHTTP1
import Core

/// A whole answer.
struct Response: Sendable {
    /// Content types spoken here.
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

    /// An answer that is rare enough for JSONEncoder.
    static func encoded(_ value: some Encodable, status: Int = 200) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Response(status: status, body: Array(try encoder.encode(value)))
    }

    /// The answer that reports an error.
    static func error(_ error: any Error) -> Response {
        let status: Int
        switch error {
        case let failure as ControlFailure: status = failure.httpStatus
        case let failure as any Failure: status = failure.kind.httpStatus
        case is CancellationError: status = FailureKind.temporary.httpStatus
        default: status = FailureKind.internal.httpStatus
        }
        let body = ErrorBody(error)
        var json = JSONWriter()
        json.raw("{\"code\":")
        json.string(body.code)
        json.raw(",\"kind\":")
        json.string(body.kind?.rawValue ?? "internal")
        json.raw(",\"message\":")
        json.string(body.message)
        json.raw(",\"remedy\":")
        json.string(body.remedy)
        json.raw("}")
        return Response(status: status, body: json.bytes)
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
