package import Core

/// What can go wrong with a catalog.
package typealias CatalogError = ReasonedFailure<CatalogReason>

/// Reasons, as `catalog.…` codes.
package enum CatalogReason: String, FailureReason {
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

    package static let module = "catalog"

    package var kind: FailureKind {
        switch self {
        case .missing, .foreign, .format, .damaged, .versionMismatch, .full, .lmdb: .unavailable
        case .permission: .permission
        case .busy, .readersFull: .temporary
        case .alreadyExists, .alreadyOpen: .conflict
        case .wrongDimension, .notFinite, .badKey, .badRecord: .invalid
        }
    }
}
