package import Core

/// A failure on the wire: the body of every answer whose status is 400 or more, and the report of a failed command.
package struct ErrorBody: Codable, Sendable, Hashable {
    /// Stable name of the reason.
    package var code: String
    /// What happened.
    package var message: String
    /// What to do about it.
    package var remedy: String
    /// The kind of failure, from which a client takes its exit code.
    package var kind: FailureKind?

    package init(code: String, message: String, remedy: String, kind: FailureKind?) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.kind = kind
    }

    /// The body that reports this error. An error that is not a `Failure` is a defect of Letter.
    package init(_ error: any Error) {
        switch error {
        case let failure as any Failure:
            self.init(code: failure.code, message: failure.fullMessage, remedy: failure.remedy, kind: failure.kind)
        case is CancellationError:
            self.init(
                ControlError(.stopping, "The daemon is shutting down.", remedy: "Try again after it has restarted."))
        default:
            self.init(
                ControlError(
                    .internal, "Internal error: \(error).", remedy: "Please report it, with the daemon's log."))
        }
    }

    /// The body as JSON, its members sorted by name.
    package var json: [UInt8] {
        // Strings always encode; the constant is here because an error report must not fail with an error.
        (try? WireJSON.encode(self)) ?? Array(#"{"code":"control.internal","message":"","remedy":""}"#.utf8)
    }

    /// The failure that this body reports, as the client throws it.
    ///
    /// - Parameter httpStatus: the answer's status, from which the kind follows if the body does not name one.
    package func failure(httpStatus: Int) -> RemoteFailure {
        RemoteFailure(code: code, kind: kind ?? Self.kind(of: httpStatus), message: message, remedy: remedy)
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

/// A failure that another process reported.
///
/// Not a `ReasonedFailure`: its code can be that of any module, also of a later version of the daemon, so there is no
/// enumeration of its reasons here.
package struct RemoteFailure: Failure {
    package let code: String
    package let kind: FailureKind
    package let message: String
    package let remedy: String
    package var cause: (any Error)? { nil }

    package init(code: String, kind: FailureKind, message: String, remedy: String) {
        self.code = code
        self.kind = kind
        self.message = message
        self.remedy = remedy
    }
}

extension Failure {
    /// The message, followed by the cause in parentheses if there is one.
    package var fullMessage: String { cause.map { "\(message) (\($0))" } ?? message }
}
