import Glibc
package import Core

/// The question that an idle daemon asks twenty times a second: is the catalog still as it was?
///
/// Most of what a look costs is what the processor has to fetch again after its sleep, so this one touches little: one
/// system call, a few numbers, nothing allocated.
///
/// Sendable for the closure that it lies in; asked on the reader's thread alone, as all calls are.
package struct CatalogQuickCheck: @unchecked Sendable {
    /// Not kept alive: a reader must be able to close the file, which LMDB opens once a process.
    private weak var environment: LMDBEnvironment?
    private let path: [CChar]
    private let identity: FileIdentity
    private let size: Int
    private let transaction: UInt64

    /// Nil if the catalog is not at this version any more.
    package init?(_ reader: CatalogReader, at version: CatalogVersion) {
        guard reader.isAt(version) else { return nil }
        environment = reader.environment
        path = Array((reader.path + "/data.mdb").utf8CString)
        identity = reader.environment.identity
        transaction = version.transaction
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        size = Int(status.st_size)
    }

    /// Whether a snapshot taken now would be the one of that version. False says only that it is time to look properly.
    package var isUnchanged: Bool {
        var status = stat()
        // The size first: the last commit of a file that lost its end must not even be asked for.
        guard stat(path, &status) == 0, Int(status.st_size) == size, UInt64(status.st_ino) == identity.inode,
            UInt64(status.st_dev) == identity.device
        else { return false }
        return environment?.lastTransaction == transaction
    }
}
