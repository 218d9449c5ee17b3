import CLMDB
import Glibc

// How long the file is, and how long it must be.

extension FileIdentity {
    /// The identity of `path` and its bytes, or nil if it cannot be read.
    static func withSize(_ path: String) -> (identity: FileIdentity, bytes: Int)? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return (FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)), Int(status.st_size))
    }
}

extension LMDBEnvironment {
    /// Bytes that data.mdb must have for every page that the last commit names to be there; nil if that is no number
    /// that a file can have, as in a damaged file.
    var requiredFileSize: Int? {
        var info = MDB_envinfo()
        var statistics = MDB_stat()
        mdb_env_info(handle, &info)
        mdb_env_stat(handle, &statistics)
        let (pages, overflow) = Int(info.me_last_pgno).addingReportingOverflow(1)
        let (bytes, tooMany) = pages.multipliedReportingOverflow(by: Int(statistics.ms_psize))
        return overflow || tooMany || bytes < 0 ? nil : bytes
    }

    /// Bytes that the open file has now; nil if that cannot be learnt.
    var fileSize: Int? {
        var descriptor: mdb_filehandle_t = -1
        var status = stat()
        guard mdb_env_get_fd(handle, &descriptor) == 0, fstat(descriptor, &status) == 0 else { return nil }
        return Int(status.st_size)
    }

    /// Bytes that the two meta pages take at least; a shorter file ends the process that reads them.
    static let metaBytes = 2 * 4_096
}
