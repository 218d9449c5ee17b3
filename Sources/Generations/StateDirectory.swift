package import Files
import Glibc
import Core

/// The folder that one daemon owns: its lock, the registry, generations and uploads.
package final class StateDirectory: Sendable {
    /// The folder.
    package let path: String

    /// Held for the life of the object; the kernel releases it when the process dies, however that happens.
    private let lock: Int32

    /// Locks the folder `path`, which is created if necessary; unfinished uploads are removed.
    ///
    /// - Throws: `generations.state_in_use` if another process has it; `FilesError`.
    package init(path: String) throws {
        self.path = path
        try FileSystem.makeDirectory(path, parents: true, mode: 0o750)
        let lockPath = path + "/LOCK"
        let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw FilesError.system("open", lockPath, errno: errno) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            close(descriptor)
            guard number == EWOULDBLOCK else { throw FilesError.system("lock", lockPath, errno: number) }
            throw GenerationsError(
                .stateInUse, "Another letterd has the state directory \(path).",
                remedy: "Stop it first (`letter status` shows its process id), or give this one its own directory."
            )
        }
        lock = descriptor
        try FileSystem.makeDirectory(path + "/generations", parents: true, mode: 0o750)
        try FileSystem.removeTree(path + "/uploads")
        try FileSystem.makeDirectory(path + "/uploads", parents: true, mode: 0o750)
    }

    deinit {
        // A child that another thread has just forked still holds the descriptor until it executes its program.
        flock(lock, LOCK_UN)
        close(lock)
    }

    /// The registry's file.
    package var registry: String { path + "/letterd.sqlite" }

    /// The copy of the registry that is made after each of its changes.
    package var registryBackup: String { path + "/letterd.backup.sqlite" }

    /// Folder of a generation, whether or not it is there.
    package func generation(_ number: Int) -> String {
        let digits = String(number)
        return path + "/generations/" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }

    /// The index file of a generation.
    package func index(_ number: Int) -> String { generation(number) + "/index.sqlite" }

    /// Makes a file of an upload, in place of what came before under that name.
    ///
    /// - Throws: `generations.too_many_uploads` if many uploads were begun and none of them published.
    package func receive(_ file: String, of name: String) throws -> OpenFile {
        let folder = upload(name)
        if !FileSystem.exists(folder), try FileSystem.list(path + "/uploads").count >= Self.mostUploads {
            throw GenerationsError(
                .tooManyUploads, "\(Self.mostUploads) uploads were begun and not published.",
                remedy: "Publish one of them, or start letterd again, which removes them.")
        }
        try FileSystem.makeDirectory(folder, parents: true, mode: 0o750)
        try FileSystem.removeTree(folder + "/" + file)
        return try OpenFile(folder + "/" + file, .create)
    }

    /// Most uploads at a time, so that forgotten ones do not fill the disk.
    private static let mostUploads = 8

    /// Folder of an upload; `name` is one path component, which the control API has checked.
    package func upload(_ name: String) -> String { path + "/uploads/" + name }
}
