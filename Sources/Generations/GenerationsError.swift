package import Vocabulary

/// What can go wrong with the state directory and its generations.
package struct GenerationsError: Failure {
    /// Reasons, as `generations.…` codes.
    package enum Reason: String, Sendable {
        case stateInUse = "state_in_use"
        case unknown
        case notReady = "not_ready"
        case incompleteUpload = "incomplete_upload"
        case tooManyUploads = "too_many_uploads"
        case registryLost = "registry_lost"
    }

    /// Which reason.
    package let reason: Reason
    package let message: String
    package let remedy: String
    package let cause: (any Error)? = nil

    init(_ reason: Reason, _ message: String, remedy: String) {
        self.reason = reason
        self.message = message
        self.remedy = remedy
    }

    package var code: String { "generations.\(reason.rawValue)" }

    package var kind: FailureKind {
        switch reason {
        case .stateInUse, .notReady, .tooManyUploads: .conflict
        case .registryLost: .unavailable
        case .unknown: .notFound
        case .incompleteUpload: .invalid
        }
    }
}
