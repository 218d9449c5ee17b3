import Glibc
import Core

/// Replaces a file atomically: after a crash or a power loss the path has the old contents or the new ones, complete.
///
/// The new contents are written under a temporary name in the same folder. `publish()` then syncs that file, renames it
/// over the target, and syncs the folder. Unpublished, the temporary file is removed when the last reference goes.
///
/// ```swift
/// try AtomicFile.write("index.trie", name: .fixed) { file in
///     try file.write(header)
///     try file.write(body)
/// }
/// ```
package final class AtomicFile {
    /// How the temporary file is named.
    package enum TemporaryName: Sendable {
        /// A hidden name drawn at random: for a file that two processes may write at the same time.
        /// `FileSystem.removeLeftovers` removes what a crash left.
        case unique
        /// The path with `.tmp` after it: for a file that only one process writes. The next write removes what a crash
        /// left.
        case fixed
    }

    /// The file that is replaced.
    package let path: String
    /// Where the new contents are until they are published.
    package let temporary: String
    private var file: OpenFile?
    private var isPublished = false

    /// Chooses the temporary name, and removes what a crash left under a fixed one. Makes no file yet: the caller does,
    /// with `create()` or by other means.
    ///
    /// - Throws: `FilesError`.
    package init(_ path: String, name: TemporaryName = .unique) throws {
        self.path = path
        switch name {
        case .unique: temporary = try FileSystem.temporaryName(nextTo: path)
        case .fixed:
            temporary = path + ".tmp"
            try FileSystem.removeTree(temporary)
        }
    }

    deinit {
        // Best effort: a leftover does no harm, and a deinit cannot report a failure.
        if !isPublished { try? FileSystem.removeTree(temporary) }
    }

    /// Makes the temporary file, empty, for reading and writing. After `publish()` the same file is at `path`, and its
    /// messages name `path` from the start.
    ///
    /// - Throws: `FilesError`.
    package func create() throws -> OpenFile {
        let created = try OpenFile(temporary, .create, named: path)
        file = created
        return created
    }

    /// Puts the new contents in place: on the disk when this returns.
    ///
    /// - Throws: `FilesError`; after `files.sync_failed` it is unknown which contents survive a power loss.
    package func publish() throws {
        try (file ?? OpenFile(temporary, .read, named: path)).sync()
        guard Glibc.rename(temporary, path) == 0 else { throw FilesError.system("rename to", path, errno: errno) }
        isPublished = true
        try FileSystem.syncDirectory(FileSystem.parent(of: path))
    }

    /// Replaces the file at `path` by what `body` writes; if `body` throws, the old contents stay.
    ///
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws; `FilesError`.
    package static func write<Result>(
        _ path: String, name: TemporaryName = .unique, _ body: (OpenFile) throws -> Result
    ) throws -> Result {
        let new = try AtomicFile(path, name: name)
        let result = try body(try new.create())
        try new.publish()
        return result
    }
}
