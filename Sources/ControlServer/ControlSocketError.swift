package import Core

/// Why the daemon's control socket cannot be made.
package typealias ControlSocketError = ReasonedFailure<ControlSocketReason>

/// Reasons, as `control.…` codes.
///
/// The raw values are written by hand because two reasons share a code: what cannot be made for lack of permission has
/// the same code as what cannot be made otherwise, but another kind, and with it another exit status of letterd.
package enum ControlSocketReason: FailureReason, CaseIterable {
    case pathTooLong, alreadyRunning, pathTaken, used, failed, forbidden

    package static let module = "control"

    package var rawValue: String {
        switch self {
        case .pathTooLong: "socket_path_too_long"
        case .alreadyRunning: "already_running"
        case .pathTaken: "socket_path_taken"
        case .used: "socket_used"
        case .failed, .forbidden: "socket_failed"
        }
    }

    package init?(rawValue: String) {
        guard let reason = Self.allCases.first(where: { $0.rawValue == rawValue }) else { return nil }
        self = reason
    }

    package var kind: FailureKind {
        switch self {
        case .pathTooLong: .configuration
        case .alreadyRunning, .pathTaken: .conflict
        case .used: .internal
        case .failed: .unavailable
        case .forbidden: .permission
        }
    }
}
