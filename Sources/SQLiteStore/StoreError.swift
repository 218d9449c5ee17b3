import Files
import GRDB
package import Core

/// What can go wrong with a database.
package typealias StoreError = ReasonedFailure<StoreReason>

/// Reasons, as `store.…` codes.
package enum StoreReason: String, FailureReason {
    case cannotOpen = "cannot_open"
    case foreign, newer, damaged, busy, readOnly = "read_only"
    case diskFull = "disk_full"
    /// A write failed and was rolled back; what was committed stands.
    case writeFailed = "write_failed"
    /// An fsync failed: what was written may be lost although later syncs succeed.
    case sync = "sync_failed"
    case io, sqlite

    package static let module = "store"

    package var kind: FailureKind {
        switch self {
        case .busy: .temporary
        case .cannotOpen, .foreign, .newer, .damaged, .diskFull, .io, .readOnly, .writeFailed, .sync: .unavailable
        case .sqlite: .internal
        }
    }

    package var isFatal: Bool {
        switch self {
        case .sync, .io: true
        case .cannotOpen, .foreign, .newer, .damaged, .busy, .readOnly, .diskFull, .writeFailed, .sqlite: false
        }
    }
}

extension StoreError {
    /// What to do about a damaged file where nothing better is known.
    package static let restoreRemedy = "Restore the file from a backup."

    /// A file in which a check found a contradiction; `what` describes it.
    package static func damaged(_ path: String, _ what: String, remedy: String = restoreRemedy) -> StoreError {
        StoreError(.damaged, "\(path) is damaged: \(what.prefix(300)).", remedy: remedy)
    }

    /// Names what SQLite, or the file system, reported about the file at `path`; a `StoreError` stays as it is.
    ///
    /// - Parameter repair: the remedy if the file turns out to be damaged.
    package init(_ error: any Error, path: String, repair: String = restoreRemedy) {
        switch error {
        case let error as StoreError: self = error
        case let error as FilesError where error.reason == .diskFull: self = .diskFull(path, error)
        case let error as DatabaseError: self.init(error, path: path, repair: repair)
        default: self.init(.io, "\(path) cannot be used.", remedy: "See the cause.", cause: error)
        }
    }

    private init(_ error: DatabaseError, path: String, repair: String) {
        switch error.resultCode {
        case .SQLITE_FULL: self = .diskFull(path, error)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(
                .busy, "Another process holds \(path).", remedy: "Try again; end the other process if it stays.",
                cause: error)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self.init(.damaged, "\(path) is damaged.", remedy: repair, cause: error)
        case .SQLITE_CANTOPEN:
            self.init(
                .cannotOpen, "\(path) cannot be opened.", remedy: "Check the path and its permissions.", cause: error)
        case .SQLITE_READONLY, .SQLITE_PERM:
            self.init(
                .readOnly, "\(path) cannot be written.", remedy: "Check its permissions and the file system's.",
                cause: error)
        case .SQLITE_IOERR where error.extendedResultCode == .SQLITE_IOERR_SHORT_READ:
            // The file ends where a page should be.
            self.init(.damaged, "\(path) is truncated.", remedy: repair, cause: error)
        case .SQLITE_IOERR where Self.isSyncFailure(error):
            self.init(
                .sync, "\(path) could not be written to disk.",
                remedy: "Check the disk; then restart letterd, which checks what is on it.", cause: error)
        case .SQLITE_IOERR where Self.writeFailures.contains(error.extendedResultCode):
            self.init(
                .writeFailed, "\(path) cannot be written to.",
                remedy:
                    "Check the limit on file sizes (`ulimit -f`), quotas and the disk; work resumes automatically.",
                cause: error)
        case .SQLITE_IOERR:
            self.init(
                .io, "Reading or writing \(path) failed.", remedy: "Check the disk; then restart letterd.",
                cause: error)
        default:
            self.init(
                .sqlite, "A statement on \(path) failed.", remedy: "This is a defect; please report it.", cause: error)
        }
    }

    private static func diskFull(_ path: String, _ cause: any Error) -> StoreError {
        StoreError(
            .diskFull, "The disk that holds \(path) is full.", remedy: "Free space; work resumes automatically.",
            cause: cause)
    }

    /// Whether an fsync failed.
    static func isSyncFailure(_ error: DatabaseError) -> Bool {
        [.SQLITE_IOERR_FSYNC, .SQLITE_IOERR_DIR_FSYNC].contains(error.extendedResultCode)
    }

    /// How SQLite reports that a file may not grow, other than on a full disk.
    private static var writeFailures: [ResultCode] {
        [.SQLITE_IOERR_WRITE, .SQLITE_IOERR_TRUNCATE, .SQLITE_IOERR_SHMSIZE]
    }
}
