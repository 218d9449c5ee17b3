import Files
import Glibc

/// The file `….sqlite-clean` next to a database: it was closed cleanly, with this inode, size and these times.
///
/// It is removed before a database is used and written after it was closed. If it is missing or describes another file,
/// the daemon crashed, the power failed, or another program wrote to the file or replaced it: then the database is
/// checked before it is used.
struct CleanMark {
    /// The mark's own file.
    let path: String
    private let database: String

    init(database: String) {
        self.database = database
        path = database + "-clean"
    }

    /// Whether the database is unchanged since it was closed cleanly.
    var isValid: Bool {
        guard let now = Self.description(of: database), let noted = try? FileSystem.read(path, limit: 256) else {
            return false
        }
        return noted == Array(now.utf8)
    }

    /// Removes the mark, durably: after a power loss it must not come back and vouch for a file that was in use.
    func remove() throws {
        guard FileSystem.exists(path) else { return }
        try FileSystem.removeTree(path)
        try FileSystem.syncDirectory(FileSystem.parent(of: path))
    }

    /// Describes the closed database.
    func write() throws {
        guard let now = Self.description(of: database) else { return }
        try FileSystem.replace(path, with: now.utf8)
    }

    /// What every write to a file changes; nil if the file is missing or its write-ahead log is not empty.
    private static func description(of path: String) -> String? {
        var status = stat()
        if stat(path + "-wal", &status) == 0, status.st_size > 0 { return nil }
        guard stat(path, &status) == 0 else { return nil }
        func time(_ time: timespec) -> String { "\(time.tv_sec).\(time.tv_nsec)" }
        return
            "letter-clean/1 inode \(status.st_ino) size \(status.st_size) modified \(time(status.st_mtim)) changed \(time(status.st_ctim))\n"
    }
}
