package import Vocabulary

/// What can go wrong with an identifier index, beyond what its database reports.
package struct IndexError: Failure {
    /// Reasons, as `index.…` codes.
    package enum Reason: String, Sendable {
        case mismatch, inconsistent
        case wrongLength = "wrong_length"
        case olderThanJournal = "older_than_journal"
        case noJournal = "no_journal"
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

    package var code: String { "index.\(reason.rawValue)" }

    package var kind: FailureKind {
        switch reason {
        case .mismatch, .olderThanJournal, .noJournal: .unavailable
        case .wrongLength: .invalid
        case .inconsistent: .internal
        }
    }
}
