import Files
import Glibc

/// The file `….sqlite-clean` beside a database: it was closed in order, and looked like this then.
///
/// It is removed before a database is used and written after it was closed. Where it is missing, or the database is not
/// the file it speaks of, the daemon died, the power failed, or somebody wrote to the file or put another in its place:
/// then the database is checked before it is used.
struct CleanMark {
    /// The mark's own file.
    let path: String
    private let database: String

    init(database: String) {
        self.database = database
        path = database + "-clean"
    }

    /// Whether the database is as it was when it was closed in order.
    var isValid: Bool {
        guard let now = Self.appearance(of: database), let noted = try? FileSystem.read(path, limit: 256) else {
            return false
        }
        return noted == Array(now.utf8)
    }

    /// Takes the mark away, and makes sure that it stays away through a power loss.
    func remove() throws {
        guard FileSystem.exists(path) else { return }
        try FileSystem.removeTree(path)
        try FileSystem.syncDirectory(FileSystem.parent(of: path))
    }

    /// Notes how the closed database looks.
    func write() throws {
        guard let now = Self.appearance(of: database) else { return }
        try FileSystem.replace(path, with: now.utf8)
    }

    /// What changes with every write to a file; nil if it is not there, or its write-ahead log holds anything.
    private static func appearance(of path: String) -> String? {
        var status = stat()
        if stat(path + "-wal", &status) == 0, status.st_size > 0 { return nil }
        guard stat(path, &status) == 0 else { return nil }
        func time(_ time: timespec) -> String { "\(time.tv_sec).\(time.tv_nsec)" }
        return
            "letter-clean/1 inode \(status.st_ino) size \(status.st_size) modified \(time(status.st_mtim)) changed \(time(status.st_ctim))\n"
    }
}
