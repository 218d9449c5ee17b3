package import Core

/// What goes wrong in control: a request that cannot be understood, a socket that cannot be had, an answer of the
/// daemon that reports a failure. Shared by both ends, so that a failure keeps its code and kind across the socket.
package struct ControlFailure: Failure {
    package let code: String
    package let kind: FailureKind
    package let message: String
    package let remedy: String
    package let cause: (any Error)?
    /// HTTP status where it is not the kind's: 404 for a route, 405, 408, 413.
    package let httpStatus: Int

    /// A failure; `httpStatus` only where the kind's own would mislead.
    package init(
        _ code: String, _ kind: FailureKind, _ message: String, remedy: String, cause: (any Error)? = nil,
        httpStatus: Int? = nil
    ) {
        self.code = code
        self.kind = kind
        self.message = message
        self.remedy = remedy
        self.cause = cause
        self.httpStatus = httpStatus ?? kind.httpStatus
    }

    /// What a request or an answer is when its JSON is not what the route takes.
    package static func badJSON(_ message: String, at offset: Int? = nil) -> ControlFailure {
        let place = offset.map { " at byte \($0)" } ?? ""
        return ControlFailure(
            "control.bad_json", .usage, "The body is not the JSON that this route takes: \(message)\(place).",
            remedy: "See Schema/control.openapi.yaml for the form of the request.")
    }
}

/// A failure on the wire: the body of every answer whose status is 400 or more.
package struct ErrorBody: Codable, Sendable, Hashable {
    /// Stable name of the reason.
    package var code: String
    /// What happened.
    package var message: String
    /// What to do about it.
    package var remedy: String
    /// What sort of failure it is, so that a client ends with the right exit code.
    package var kind: FailureKind?

    package init(code: String, message: String, remedy: String, kind: FailureKind?) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.kind = kind
    }

    /// The body that reports this error; an error that is no `Failure` is a defect of ours.
    package init(_ error: any Error) {
        switch error {
        case let failure as any Failure:
            self.init(code: failure.code, message: failure.fullMessage, remedy: failure.remedy, kind: failure.kind)
        case is CancellationError:
            self.init(
                code: "control.stopping", message: "The daemon is stopping.", remedy: "Try again once it is back.",
                kind: .temporary)
        default:
            self.init(
                code: "control.internal", message: "Something went wrong that should not: \(error).",
                remedy: "Please report it, with the daemon's log.", kind: .internal)
        }
    }

    /// The failure this body reports, as the client throws it.
    package func failure(httpStatus: Int) -> ControlFailure {
        ControlFailure(code, kind ?? Self.kind(of: httpStatus), message, remedy: remedy, httpStatus: httpStatus)
    }

    private static func kind(of httpStatus: Int) -> FailureKind {
        switch httpStatus {
        case 403: .permission
        case 404: .notFound
        case 409: .conflict
        case 408, 503: .temporary
        case 400..<500: .usage
        default: .internal
        }
    }
}

extension Failure {
    /// The message with what lies underneath it.
    package var fullMessage: String { cause.map { "\(message) (\($0))" } ?? message }
}
