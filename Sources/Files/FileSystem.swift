import CLinux
import Core
import Glibc

/// Whole-file operations. Errors are `FilesFailure`; nothing here uses Foundation.
package enum FileSystem {
    /// The bytes of a file of at most `limit` bytes.
    ///
    /// - Throws: `FilesFailure` (`files.too_large`) before anything is allocated if it is larger.
    package static func read(_ path: String, limit: Int) throws -> [UInt8] {
        let file = try OpenFile(path, .read)
        let size = try file.size()
        guard size <= limit else {
            throw FilesFailure(
                "too_large", .invalid, "\(path) has \(size) bytes; at most \(limit) are read",
                remedy: "Check that it is the file you mean.")
        }
        return try file.read(at: 0, count: size)
    }

    /// Puts these bytes at `path`, replacing what is there: whole and on the disk, or not at all.
    ///
    /// Writes a temporary file beside it, syncs it, renames it, syncs the directory.
    package static func replace(_ path: String, with bytes: some Collection<UInt8>) throws {
        let temporary = try temporaryName(beside: path)
        do {
            let file = try OpenFile(temporary, .create)
            try file.write(bytes)
            try file.sync()
            guard Glibc.rename(temporary, path) == 0 else { throw FilesFailure.system("rename to", path, errno: errno) }
        } catch {
            unlink(temporary)
            throw error
        }
        try syncDirectory(parent(of: path))
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

    /// Makes a directory, and with `parents` those above it; one that is there is no error then, and a new one is on the
    /// disk when this returns.
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
        throw FilesFailure.system("make the directory", path, errno: number)
    }

    /// Names in a directory, sorted by their bytes, without `.` and `..`.
    package static func list(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else { throw FilesFailure.system("list", path, errno: errno) }
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

    /// Removes a file, or a directory and all in it; what is not there is no error. Links are removed, not followed.
    package static func removeTree(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw FilesFailure.system("examine", path, errno: errno)
        }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in try list(path) { try removeTree("\(path)/\(name)") }
            guard rmdir(path) == 0 || errno == ENOENT else { throw FilesFailure.system("remove", path, errno: errno) }
        } else {
            guard unlink(path) == 0 || errno == ENOENT else { throw FilesFailure.system("remove", path, errno: errno) }
        }
    }

    /// Waits until the names in a directory are on the disk.
    package static func syncDirectory(_ path: String) throws {
        guard let descriptor = retrying({ open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }) else {
            throw FilesFailure.system("open", path, errno: errno)
        }
        defer { close(descriptor) }
        guard retrying({ fsync(descriptor) }) != nil else { throw FilesFailure.sync(path, errno: errno) }
    }

    /// Renames, and fails (`files.exists`) where `to` is there already. Syncs nothing.
    package static func renameNew(_ from: String, to: String) throws {
        guard letter_rename_new(from, to) == 0 else { throw FilesFailure.system("rename to", to, errno: errno) }
    }

    /// Renames, replacing what is at `to`, and makes sure that the directory's names are on the disk.
    package static func rename(_ from: String, to: String) throws {
        guard Glibc.rename(from, to) == 0 else { throw FilesFailure.system("rename to", to, errno: errno) }
        try syncDirectory(parent(of: to))
    }

    /// The directory a path is in: `a/b` → `a`, `b` → `.`, `/b` → `/`.
    package static func parent(of path: String) -> String {
        var trimmed = Substring(path)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        guard let slash = trimmed.lastIndex(of: "/") else { return "." }
        return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
    }

    /// Removes what a process that was killed left of a file or directory that was to become `path`. Another process that
    /// is making `path` at this moment would lose it.
    package static func removeLeftovers(of path: String) throws {
        let stem = temporaryStem(beside: path)
        guard exists(stem.directory) else { return }
        for name in try list(stem.directory) where name.hasPrefix(stem.prefix) && name.hasSuffix(".tmp") {
            let token = name.dropFirst(stem.prefix.count).dropLast(4)
            guard !token.isEmpty, token.allSatisfy({ $0.isASCII && ($0.isNumber || $0.isLetter) }) else { continue }
            try removeTree("\(stem.directory)/\(name)")
        }
    }

    private static func temporaryStem(beside path: String) -> (directory: String, prefix: String) {
        var trimmed = Substring(path)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        return (parent(of: path), ".\((trimmed.split(separator: "/").last ?? "file").prefix(100)).")
    }

    /// A name not yet taken, hidden, in the same directory, for what is renamed to `path` later.
    static func temporaryName(beside path: String) throws -> String {
        let stem = temporaryStem(beside: path)
        for _ in 0..<100 {
            let token = String(UInt64.random(in: .min ... .max), radix: 36)
            let candidate = "\(stem.directory)/\(stem.prefix)\(token).tmp"
            if !exists(candidate) { return candidate }
        }
        throw FilesFailure("no_name", .unavailable, "no temporary name beside \(path)", remedy: "Tidy the directory.")
    }
}
