package import Core

/// What can go wrong with the state directory and its generations.
package typealias GenerationsError = ReasonedFailure<GenerationsReason>

/// Reasons, as `generations.…` codes.
package enum GenerationsReason: String, FailureReason {
    case stateInUse = "state_in_use"
    case unknown
    case notReady = "not_ready"
    case incompleteUpload = "incomplete_upload"
    case tooManyUploads = "too_many_uploads"
    case registryLost = "registry_lost"

    package static let module = "generations"

    package var kind: FailureKind {
        switch self {
        case .stateInUse, .notReady, .tooManyUploads: .conflict
        case .registryLost: .unavailable
        case .unknown: .notFound
        case .incompleteUpload: .invalid
        }
    }
}
