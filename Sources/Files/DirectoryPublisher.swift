import Core

/// Makes a directory that appears under its name complete or not at all, even after a crash or a power loss.
///
/// Files are written into a temporary directory next to the target. `publish()` then syncs the files, syncs the
/// directory, renames it without replacing anything, and syncs the parent. Unpublished, the temporary directory is
/// removed when the publisher goes.
///
/// ```swift
/// let publisher = try DirectoryPublisher(target: "models/7")
/// try publisher.write("manifest.json", bytes)
/// try publisher.publish()
/// ```
package final class DirectoryPublisher {
    /// Where the directory will be.
    package let target: String
    /// Where it is until then; other writers may put files here too, before `publish()`.
    package let temporary: String
    private var published = false

    /// Makes the temporary directory, and the directories above the target where they are missing.
    ///
    /// - Throws: `FilesError` (`files.exists`) if something is at `target`.
    package init(target: String) throws {
        guard !FileSystem.exists(target) else {
            throw FilesError(
                .exists, "\(target) exists already", remedy: "Choose another path, or remove what is there.")
        }
        try FileSystem.makeDirectory(FileSystem.parent(of: target), parents: true)
        let temporary = try FileSystem.temporaryName(nextTo: target)
        try FileSystem.makeDirectory(temporary)
        self.target = target
        self.temporary = temporary
    }

    deinit {
        // Best effort: a leftover is hidden and does no harm, and a deinit cannot report a failure.
        if !published { try? FileSystem.removeTree(temporary) }
    }

    /// Writes one file into the future directory; durable after `publish()`.
    ///
    /// - Throws: `FilesError`.
    package func write(_ name: String, _ bytes: some Collection<UInt8>) throws {
        let file = try OpenFile("\(temporary)/\(name)", .create)
        try file.write(bytes)
    }

    /// Makes the directory appear. Every plain file directly in it is synced first.
    ///
    /// - Throws: `FilesError`; `files.exists` if another process has made the target in the meantime.
    package func publish() throws {
        for name in try FileSystem.list(temporary) where !FileSystem.isDirectory("\(temporary)/\(name)") {
            try OpenFile("\(temporary)/\(name)", .read).sync()
        }
        try FileSystem.syncDirectory(temporary)
        try FileSystem.renameNew(temporary, to: target)
        published = true
        try FileSystem.syncDirectory(FileSystem.parent(of: target))
    }
}
