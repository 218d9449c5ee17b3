import Files
import GRDB
package import Core

/// What can go wrong with a database of the state directory.
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

    package var isFatal: Bool { self == .sync || self == .io }
}

extension StoreError {
    /// A file in which a check found something wrong.
    package static func damaged(_ path: String, _ what: String) -> StoreError {
        StoreError(
            .damaged, "\(path) is damaged: \(what.prefix(300)).",
            remedy: remedy(for: path))
    }

    /// What to do about a damaged file: an index can be made again, the registry has a copy.
    private static func remedy(for path: String) -> String {
        path.hasSuffix("/letterd.sqlite")
            ? "Stop letterd, and put the copy letterd.backup.sqlite in its place, or a backup of your own."
            : "Stop letterd, run `letter index rebuild`, and start it again; or restore the file from a backup."
    }

    /// Names what SQLite, or the file system, reported of the file at `path`.
    package init(_ error: any Error, path: String) {
        if let error = error as? StoreError {
            self = error
            return
        }
        if let error = error as? FilesFailure, error.code == "files.disk_full" {
            self.init(
                .diskFull, "The disk that holds \(path) is full.", remedy: "Free space; work resumes by itself.",
                cause: error)
            return
        }
        guard let error = error as? DatabaseError else {
            self.init(.io, "\(path) cannot be used.", remedy: "See the cause.", cause: error)
            return
        }
        switch error.resultCode {
        case .SQLITE_FULL:
            self.init(
                .diskFull, "The disk that holds \(path) is full.", remedy: "Free space; work resumes by itself.",
                cause: error)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            self.init(
                .busy, "Another process holds \(path).", remedy: "Try again; end the other process if it stays.",
                cause: error)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self.init(.damaged, "\(path) is damaged.", remedy: Self.remedy(for: path), cause: error)
        case .SQLITE_CANTOPEN:
            self.init(
                .cannotOpen, "\(path) cannot be opened.", remedy: "Check the path and its permissions.", cause: error)
        case .SQLITE_READONLY, .SQLITE_PERM:
            self.init(
                .readOnly, "\(path) cannot be written.", remedy: "Check its permissions and the file system's.",
                cause: error)
        case .SQLITE_IOERR where error.extendedResultCode == .SQLITE_IOERR_SHORT_READ:
            // The file ends where a page should be.
            self.init(
                .damaged, "\(path) is cut short.",
                remedy: "Restore it from a backup, or publish the model again to build a new index.", cause: error)
        case .SQLITE_IOERR where Self.isSyncFailure(error):
            self.init(
                .sync, "The disk did not take what was written to \(path).",
                remedy: "Check the disk; then start letterd again, which finds out what is there.", cause: error)
        case .SQLITE_IOERR where Self.writeFailures.contains(error.extendedResultCode):
            self.init(
                .writeFailed, "\(path) cannot be written to.",
                remedy: "Check the limit on file sizes (`ulimit -f`), quotas and the disk; work resumes by itself.",
                cause: error)
        case .SQLITE_IOERR:
            self.init(
                .io, "Reading or writing \(path) failed.", remedy: "Check the disk; then start letterd again.",
                cause: error)
        default:
            self.init(
                .sqlite, "A statement on \(path) failed.", remedy: "This is a defect; please report it.", cause: error)
        }
    }

    /// Whether an fsync failed.
    static func isSyncFailure(_ error: DatabaseError) -> Bool {
        [.SQLITE_IOERR_FSYNC, .SQLITE_IOERR_DIR_FSYNC].contains(error.extendedResultCode)
    }

    /// What a file system that refuses to let a file grow is reported as, a full one excepted.
    private static var writeFailures: [ResultCode] {
        [.SQLITE_IOERR_WRITE, .SQLITE_IOERR_TRUNCATE, .SQLITE_IOERR_SHMSIZE]
    }
}
