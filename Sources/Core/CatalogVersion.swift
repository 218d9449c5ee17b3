/// Which state of which catalog file was seen: equal versions mean equal contents.
package struct CatalogVersion: Hashable, Sendable, Codable {
    /// Device and inode of data.mdb; another file was moved into its place when they change.
    package var device: UInt64
    package var inode: UInt64
    /// Number of the last commit.
    package var transaction: UInt64
    /// Boot of the machine: an unsynced commit can be lost in a crash and its number used again.
    package var boot: String

    package init(device: UInt64, inode: UInt64, transaction: UInt64, boot: String) {
        self.device = device
        self.inode = inode
        self.transaction = transaction
        self.boot = boot
    }

    /// Whether an answer to this version also answers `other`: the same file, at least as new.
    package func covers(_ other: CatalogVersion) -> Bool {
        device == other.device && inode == other.inode && boot == other.boot && transaction >= other.transaction
    }
}
