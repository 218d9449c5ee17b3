import Glibc
package import Core

/// What can go wrong with a file: the operating system refuses a call, or the contents contradict the format.
package typealias FilesError = ReasonedFailure<FilesReason>

/// Reasons, as `files.…` codes.
package enum FilesReason: String, FailureReason {
    case notFound = "not_found"
    case exists, permission
    case diskFull = "disk_full"
    case isDirectory = "is_directory"
    case notAFile = "not_a_file"
    case tooLarge = "too_large"
    case noName = "no_name"
    /// A system call failed for a reason that has no name here.
    case system
    /// An fsync failed: what was written may be lost although later syncs succeed.
    case sync = "sync_failed"
    case damaged
    case elementType = "element_type"
    case columnOrder = "column_order"
    case dimensions

    package static let module = "files"

    package var kind: FailureKind {
        switch self {
        case .notFound: .notFound
        case .exists: .conflict
        case .permission: .permission
        case .diskFull, .noName, .system, .sync: .unavailable
        case .isDirectory, .notAFile, .tooLarge, .damaged, .elementType, .columnOrder, .dimensions: .invalid
        }
    }

    package var isFatal: Bool { self == .sync }
}

extension FilesError {
    /// The failure of a system call: `number` is the `errno` of `operation` on `path`.
    package static func system(_ operation: String, _ path: String, errno number: Int32) -> FilesError {
        let message = "cannot \(operation) \(path): \(String(cString: strerror(number)))"
        return switch number {
        case ENOENT, ENOTDIR: FilesError(.notFound, message, remedy: "Check the path.")
        case EEXIST, ENOTEMPTY:
            FilesError(.exists, message, remedy: "Choose another path, or remove what is there.")
        case EACCES, EPERM, EROFS: FilesError(.permission, message, remedy: "Grant this user access.")
        case ENOSPC, EDQUOT, EFBIG: FilesError(.diskFull, message, remedy: "Free some space and try again.")
        case EISDIR: FilesError(.isDirectory, message, remedy: "Name a file, not a directory.")
        default: FilesError(.system, message, remedy: "See the system log for this device.")
        }
    }

    /// An fsync of `path` failed: what was written may be lost although later syncs succeed.
    package static func sync(_ path: String, errno number: Int32) -> FilesError {
        FilesError(
            .sync, "\(path) could not be written to disk: \(String(cString: strerror(number)))",
            remedy: "Check the disk; then try again from the start.")
    }

    /// A file whose contents contradict its format; `what` says how.
    package static func damaged(_ path: String, _ what: String, cause: (any Error)? = nil) -> FilesError {
        FilesError(.damaged, "\(path): \(what)", remedy: "Write the file again from its source.", cause: cause)
    }
}
