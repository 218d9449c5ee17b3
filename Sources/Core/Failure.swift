/// What sort of failure it is; decides exit codes and HTTP statuses, and whether trying again can help.
package enum FailureKind: String, Sendable, Codable, CaseIterable {
    /// The command line or the form of a request is wrong.
    case usage
    /// The data given is wrong: an embedding of the wrong size, a damaged model, an id that is too long.
    case invalid
    /// What was asked for is not there.
    case notFound
    /// It contradicts what is there already.
    case conflict
    /// No daemon answers at the socket.
    case notRunning
    /// Something needed is missing or unusable: a catalog, a state directory, a full disk.
    case unavailable
    /// Busy or timed out; the same call may go through later.
    case temporary
    /// The operating system or the daemon does not permit it.
    case permission
    /// A configuration value is wrong.
    case configuration
    /// A defect of Letter itself.
    case `internal`

    /// Exit status of a command that ended this way: 1, 3 (not running) or a value of sysexits.h.
    package var exitCode: Int32 {
        switch self {
        case .usage: 64
        case .invalid, .notFound, .conflict, .internal: 1
        case .notRunning: 3
        case .unavailable: 69
        case .temporary: 75
        case .permission: 77
        case .configuration: 78
        }
    }

    /// Whether the same call may succeed later.
    package var isRetryable: Bool {
        switch self {
        case .notRunning, .unavailable, .temporary: true
        case .usage, .invalid, .notFound, .conflict, .permission, .configuration, .internal: false
        }
    }

    /// HTTP status of an answer that reports it.
    package var httpStatus: Int {
        switch self {
        case .usage, .invalid: 400
        case .notFound: 404
        case .conflict: 409
        case .notRunning, .unavailable, .temporary: 503
        case .permission: 403
        case .configuration, .internal: 500
        }
    }
}

/// An error as people and programs meet it: a stable code, what happened, what to do.
///
/// Most modules have one, a `ReasonedFailure` of the reasons there are. `code` is `module.reason` in lower case with
/// underscores, and stays.
package protocol Failure: Error, CustomStringConvertible, Sendable {
    /// Stable name of the reason, such as `catalog.wrong_dimension`.
    var code: String { get }
    /// What sort of failure it is.
    var kind: FailureKind { get }
    /// What happened, one sentence, naming the file, item or value.
    var message: String { get }
    /// What to do about it, one sentence.
    var remedy: String { get }
    /// The failure underneath, if any.
    var cause: (any Error)? { get }
    /// Whether the process must end: a write or an fsync failed, so that what is on the disk is unknown, and only a new
    /// start can find out. A later fsync that succeeds proves nothing about the lost write.
    var isFatal: Bool { get }
}

extension Failure {
    package var isFatal: Bool { false }

    /// Whether the same call may succeed later with the same arguments.
    package var isRetryable: Bool { !isFatal && kind.isRetryable }
}

extension Failure {
    /// Message, cause and remedy in one line.
    package var description: String {
        let reason = cause.map { " (\($0))" } ?? ""
        return "\(message)\(reason) [\(code)] \(remedy)"
    }
}

/// The reasons for which something fails in a module; the raw values are the second half of a code.
package protocol FailureReason: RawRepresentable<String>, Sendable {
    /// The first half of a code, such as `catalog`.
    static var module: String { get }
    /// What sort of failure it makes.
    var kind: FailureKind { get }
    /// Whether the process must end after it; see `Failure.isFatal`. No, where a module does not say so.
    var isFatal: Bool { get }
}

extension FailureReason {
    package var isFatal: Bool { false }
}

/// A failure for one of a module's reasons.
package struct ReasonedFailure<Reason: FailureReason>: Failure {
    /// Which reason.
    package let reason: Reason
    package let message: String
    package let remedy: String
    package let cause: (any Error)?

    package init(_ reason: Reason, _ message: String, remedy: String, cause: (any Error)? = nil) {
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.cause = cause
    }

    package var code: String { "\(Reason.module).\(reason.rawValue)" }
    package var kind: FailureKind { reason.kind }
    package var isFatal: Bool { reason.isFatal || (cause as? any Failure)?.isFatal ?? false }
}
