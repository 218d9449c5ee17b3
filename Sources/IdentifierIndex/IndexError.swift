package import Core

/// What can go wrong with an identifier index, beyond what its database reports.
package typealias IndexError = ReasonedFailure<IndexReason>

/// Reasons, as `index.…` codes.
package enum IndexReason: String, FailureReason {
    /// The index belongs to another generation or model.
    case mismatch
    /// Tables of the index contradict each other, or a caller contradicts the index.
    case inconsistent
    /// An identifier with another number of codes than the index has levels.
    case wrongLength = "wrong_length"
    /// The journal has commits that the index lacks: the index was lost, or an old copy was put in its place.
    case olderThanJournal = "older_than_journal"
    /// Neither the index nor its journal is there.
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
