/// A place in a catalog's change log: after the entry with this sequence number (Schema/catalog.md).
package struct LogPosition: Hashable, Sendable {
    /// Drawn at random when the log was begun.
    package var epoch: UInt128
    /// Number of the entry.
    package var sequence: UInt64
    /// Drawn at random by the transaction that wrote the entry: distinguishes it from an entry of the same number in another
    /// history of the same log.
    package var nonce: UInt64

    package init(epoch: UInt128, sequence: UInt64, nonce: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
        self.nonce = nonce
    }
}

/// How far an index has followed a catalog.
package struct CatalogCursor: Hashable, Sendable {
    /// The version that the index answers.
    package var version: CatalogVersion
    /// Where the change log stood then; nil if it did not record every change up to that version, or if there was none.
    package var log: LogPosition?

    package init(version: CatalogVersion, log: LogPosition? = nil) {
        self.version = version
        self.log = log
    }
}
