import CLinux
import Core
import Glibc

/// Whole-file operations. Errors are `FilesError`; nothing here uses Foundation.
package enum FileSystem {
    /// The bytes of a file of at most `limit` bytes. O(size).
    ///
    /// - Throws: `FilesError`; `files.too_large`, before anything is allocated, if it is larger.
    package static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let file = try OpenFile(path, .read)
        let size = try file.size()
        guard size <= limit else {
            throw FilesError(
                .tooLarge, "\(path) has \(size) bytes; at most \(limit) are read",
                remedy: "Check that it is the right file.")
        }
        return try file.read(at: 0, count: size)
    }

    /// Puts these bytes at `path`, replacing what is there; see `AtomicFile`.
    ///
    /// - Throws: `FilesError`; what was there stays as it is then.
    package static func replace(_ path: String, with bytes: some Collection<UInt8>) throws {
        try AtomicFile.write(path) { try $0.write(bytes) }
    }

    /// Whether anything is at `path`, a dangling link included.
    package static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// Whether a directory is at `path`.
    package static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Makes a directory. With `parents`, also those above it: an existing one is no error then, and a new one is on the
    /// disk when this returns.
    ///
    /// - Throws: `FilesError`.
    package static func makeDirectory(_ path: String, parents: Bool = false, mode: UInt32 = 0o755) throws {
        if mkdir(path, mode) == 0 {
            if parents { try syncDirectory(parent(of: path)) }
            return
        }
        let number = errno
        if parents, number == EEXIST, isDirectory(path) { return }
        if parents, number == ENOENT, parent(of: path) != path {
            try makeDirectory(parent(of: path), parents: true, mode: mode)
            return try makeDirectory(path, parents: true, mode: mode)
        }
        throw FilesError.system("make the directory", path, errno: number)
    }

    /// Names in a directory, sorted by their bytes, without `.` and `..`. O(n log n).
    ///
    /// - Throws: `FilesError`.
    package static func list(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw FilesError.system("list", path, errno: errno) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Removes a file, or a directory and everything in it; a missing one is no error. Links are removed, not followed.
    ///
    /// - Throws: `FilesError`.
    package static func removeTree(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw FilesError.system("examine", path, errno: errno)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in try list(path) { try removeTree("\(path)/\(name)") }
            guard rmdir(path) == 0 || errno == ENOENT else { throw FilesError.system("remove", path, errno: errno) }
        } else {
            guard unlink(path) == 0 || errno == ENOENT else { throw FilesError.system("remove", path, errno: errno) }
        }
    }

    /// Waits until the names in a directory are on the disk.
    ///
    /// - Throws: `FilesError`; `files.sync_failed` is final, as it is for a file.
    package static func syncDirectory(_ path: String) throws {
        guard let descriptor = SystemCall.retrying({ open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }) else {
            throw FilesError.system("open", path, errno: errno)
        }
        defer { close(descriptor) }
        guard SystemCall.retrying({ fsync(descriptor) }) != nil else { throw FilesError.sync(path, errno: errno) }
    }

    /// Renames without replacing. Syncs nothing.
    ///
    /// - Throws: `FilesError`; `files.exists` if something is at `to`.
    package static func renameNew(_ from: String, to: String) throws {
        guard letter_rename_new(from, to) == 0 else { throw FilesError.system("rename to", to, errno: errno) }
    }

    /// Renames, replacing what is at `to`; the new name is on the disk when this returns.
    ///
    /// - Throws: `FilesError`.
    package static func rename(_ from: String, to: String) throws {
        guard Glibc.rename(from, to) == 0 else { throw FilesError.system("rename to", to, errno: errno) }
        try syncDirectory(parent(of: to))
    }

    /// The directory a path is in: `a/b` → `a`, `b` → `.`, `/b` → `/`.
    package static func parent(of path: String) -> String {
        var trimmed = Substring(path)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    /// Removes the temporary files and directories that a killed process left while making `path`.
    ///
    /// A process that is making `path` at this moment would lose its work.
    ///
    /// - Throws: `FilesError`.
    package static func removeLeftovers(of path: String) throws {
        let stem = temporaryStem(nextTo: path)
        guard exists(stem.directory) else { return }
        for name in try list(stem.directory) where name.hasPrefix(stem.prefix) && name.hasSuffix(".tmp") {
            let token = name.dropFirst(stem.prefix.count).dropLast(4)
            guard !token.isEmpty, token.allSatisfy({ $0.isASCII && ($0.isNumber || $0.isLetter) }) else { continue }
            try removeTree("\(stem.directory)/\(name)")
        }
    }

    private static func temporaryStem(nextTo path: String) -> (directory: String, prefix: String) {
        var trimmed = Substring(path)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        return (parent(of: path), ".\((trimmed.split(separator: "/").last ?? "file").prefix(100)).")
    }

    /// A hidden name in the same directory that is not in use, for what is later renamed to `path`.
    static func temporaryName(nextTo path: String) throws -> String {
        let stem = temporaryStem(nextTo: path)
        for _ in 0..<100 {
            let token = String(UInt64.random(in: .min ... .max), radix: 36)
            let candidate = "\(stem.directory)/\(stem.prefix)\(token).tmp"
            if !exists(candidate) { return candidate }
        }
        throw FilesError(.noName, "no temporary name is free next to \(path)", remedy: "Remove old `.tmp` files.")
    }
}
