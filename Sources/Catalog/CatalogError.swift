package import Vocabulary

/// What can go wrong with a catalog.
package struct CatalogError: Failure {
    /// Reasons, as `catalog.…` codes.
    package enum Reason: String, Sendable {
        case missing, foreign, format, permission, damaged, busy, full
        case alreadyExists = "already_exists"
        case alreadyOpen = "already_open"
        case wrongDimension = "wrong_dimension"
        case notFinite = "not_finite"
        case badKey = "bad_key"
        case badRecord = "bad_record"
        case versionMismatch = "version_mismatch"
        case readersFull = "readers_full"
        case lmdb
    }

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

    package var code: String { "catalog.\(reason.rawValue)" }

    package var kind: FailureKind {
        switch reason {
        case .missing, .foreign, .format, .damaged, .versionMismatch, .full, .lmdb: .unavailable
        case .permission: .permission
        case .busy, .readersFull: .temporary
        case .alreadyExists, .alreadyOpen: .conflict
        case .wrongDimension, .notFinite, .badKey, .badRecord: .invalid
        }
    }
}
