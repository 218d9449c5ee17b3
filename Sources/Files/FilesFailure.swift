import Glibc
package import Core

/// What went wrong with a file: the operating system's refusal, or a file that is not what it says it is.
package struct FilesFailure: Failure {
    package let code: String
    package let kind: FailureKind
    package let message: String
    package let remedy: String
    package let cause: (any Error)?

    package init(
        _ reason: String, _ kind: FailureKind, _ message: String, remedy: String, cause: (any Error)? = nil
    ) {
        self.code = "files.\(reason)"
        self.kind = kind
        self.message = message
        self.remedy = remedy
        self.cause = cause
    }

    /// The failure of a system call: `errno` (`number`) of `operation` on `path`.
    package static func system(_ operation: String, _ path: String, errno number: Int32) -> FilesFailure {
        let text = String(cString: strerror(number))
        let message = "cannot \(operation) \(path): \(text)"
        switch number {
        case ENOENT, ENOTDIR:
            return FilesFailure("not_found", .notFound, message, remedy: "Check the path.")
        case EEXIST, ENOTEMPTY:
            return FilesFailure("exists", .conflict, message, remedy: "Choose another path, or remove what is there.")
        case EACCES, EPERM, EROFS:
            return FilesFailure("permission", .permission, message, remedy: "Give this user the right to it.")
        case ENOSPC, EDQUOT, EFBIG:
            return FilesFailure("disk_full", .unavailable, message, remedy: "Free some space and try again.")
        case EISDIR:
            return FilesFailure("is_directory", .invalid, message, remedy: "Name a file, not a directory.")
        default:
            return FilesFailure("system", .unavailable, message, remedy: "See the system's log for this device.")
        }
    }

    /// An fsync of `path` failed: what was written may be lost although later syncs succeed.
    package static func sync(_ path: String, errno number: Int32) -> FilesFailure {
        FilesFailure(
            syncFailed, .unavailable,
            "the disk did not take what was written to \(path): \(String(cString: strerror(number)))",
            remedy: "Check the disk; then try again from the start.")
    }

    /// Reason of `sync`; its code is `files.sync_failed`.
    private static let syncFailed = "sync_failed"

    package var isFatal: Bool { isSyncFailure }

    /// Whether an fsync failed.
    package var isSyncFailure: Bool { code == "files.\(Self.syncFailed)" }

    /// A file whose contents contradict its format.
    package static func damaged(_ path: String, _ what: String) -> FilesFailure {
        FilesFailure("damaged", .invalid, "\(path): \(what)", remedy: "Write the file again from its source.")
    }
}
