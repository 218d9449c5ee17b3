package import Core

/// What can go wrong with an identifier index, beyond what its database reports.
package typealias IndexError = ReasonedFailure<IndexReason>

/// Reasons, as `index.…` codes.
package enum IndexReason: String, FailureReason {
    case mismatch, inconsistent
    case wrongLength = "wrong_length"
    case olderThanJournal = "older_than_journal"
    case noJournal = "no_journal"

    package static let module = "index"

    package var kind: FailureKind {
        switch self {
        case .mismatch, .olderThanJournal, .noJournal: .unavailable
        case .wrongLength: .invalid
        case .inconsistent: .internal
        }
    }
}
