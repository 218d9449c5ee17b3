package import Core

/// A failure that the control layer itself detects, at either end of the socket.
package typealias ControlError = ReasonedFailure<ControlReason>

/// Reasons, as `control.…` codes.
package enum ControlReason: String, FailureReason {
    // The server cannot accept a request.
    case noSuchRoute = "no_such_route"
    case wrongMethod = "wrong_method"
    case badParameter = "bad_parameter"
    case badURI = "bad_uri"
    case badHTTP = "bad_http"
    case badJSON = "bad_json"
    case badItemID = "bad_item_id"
    case badIdentifier = "bad_identifier"
    case badUploadName = "bad_upload_name"
    case badTimeout = "bad_timeout"
    case batchTooLarge = "batch_too_large"
    case bodyTooLarge = "body_too_large"
    case requestTimeout = "request_timeout"
    case uploadCutShort = "upload_cut_short"
    case permissionDenied = "permission_denied"
    case tooManyConnections = "too_many_connections"
    /// A client connected while the daemon was shutting down.
    case ending
    /// The daemon began to shut down while it answered.
    case stopping
    case `internal`

    // The client gets no answer, or none that it understands.
    case notRunning = "not_running"
    case socketPathTooLong = "socket_path_too_long"
    case timeout
    case connectionFailed = "connection_failed"
    case connectionClosed = "connection_closed"
    case answerCutShort = "answer_cut_short"
    case notHTTP = "not_http"
    case unknownAnswer = "unknown_answer"

    // A generation that the client waits for.
    case generationGone = "generation_gone"
    case generationFailed = "generation_failed"

    package static let module = "control"

    package var kind: FailureKind {
        switch self {
        case .noSuchRoute, .generationGone: .notFound
        case .wrongMethod, .badParameter, .badURI, .badHTTP, .badJSON, .badItemID, .badIdentifier, .badUploadName,
            .badTimeout, .batchTooLarge, .bodyTooLarge, .socketPathTooLong:
            .usage
        case .requestTimeout, .uploadCutShort, .tooManyConnections, .ending, .stopping, .timeout, .connectionFailed,
            .connectionClosed, .answerCutShort:
            .temporary
        case .permissionDenied: .permission
        case .notRunning: .notRunning
        case .notHTTP, .generationFailed: .invalid
        case .internal, .unknownAnswer: .internal
        }
    }

    /// HTTP status of an answer that reports it; the kind's own, except where HTTP has a more exact one.
    package var httpStatus: Int {
        switch self {
        case .wrongMethod: 405
        case .requestTimeout: 408
        case .batchTooLarge, .bodyTooLarge: 413
        default: kind.httpStatus
        }
    }
}

extension ControlError {
    /// A request or an answer whose JSON is not what the route takes.
    ///
    /// - Parameter offset: the byte at which reading stopped, if it is known.
    package static func badJSON(_ message: String, at offset: Int? = nil) -> ControlError {
        let place = offset.map { " at byte \($0)" } ?? ""
        return ControlError(
            .badJSON, "The body is not the JSON that this route takes: \(message)\(place).",
            remedy: "See Schema/control.openapi.yaml for the form of the request.")
    }

    /// Text that is neither an identifier nor a prefix of one.
    package static func badIdentifier(_ text: String) -> ControlError {
        ControlError(
            .badIdentifier, "‘\(text.prefix(100))’ is not an identifier or a prefix of one.",
            remedy: "Write codes as 12-3-7-0 or <a_12><b_3><c_7><d_0>, each 0 to 65535, at most 9 of them.")
    }

    /// Text that cannot name an upload.
    package static func badUploadName(_ text: String) -> ControlError {
        ControlError(
            .badUploadName, "‘\(text.prefix(100))’ cannot name an upload.",
            remedy: "Use 1 to 64 of a-z, 0-9, dot, underscore and hyphen, not starting with a dot.")
    }

    /// A file of a model that is larger than the daemon accepts.
    package static func tooLarge(_ file: ModelFile, bytes: Int) -> ControlError {
        ControlError(
            .bodyTooLarge, "\(file.rawValue) has \(bytes) bytes; the daemon accepts at most \(file.limit).",
            remedy: "Publish a model whose files are within the limits of Schema/model.md.")
    }
}
