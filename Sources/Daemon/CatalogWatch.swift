internal import Catalog
internal import Files
internal import Vocabulary

/// The daemon's one handle of the catalog, on a thread of its own, as LMDB's rules demand.
///
/// It opens the catalog when it can and opens it anew when another file is moved into its place.
actor CatalogWatch {
    private let path: String
    private let thread = DedicatedThread(name: "catalog")
    private var reader: CatalogReader?

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(path: String) { self.path = path }

    /// The version of the catalog as it is now, and what the catalog says of itself.
    ///
    /// - Throws: `CatalogError` while it is missing or cannot be read; the next call tries again.
    func look() throws -> (version: CatalogVersion, format: CatalogFormat) {
        let reader = try opened()
        return (reader.version(), reader.format)
    }

    /// What `known` lacks against the catalog as it is now.
    func changes(known: @Sendable (ItemID?) throws -> KnownItems) throws -> ChangeSet {
        try opened().changes(known: known)
    }

    /// The vectors of items, read in one short snapshot.
    func vectors(of items: ArraySlice<ItemID>) throws -> VectorBatch {
        try opened().vectors(of: items)
    }

    /// Frees reader slots of processes that died.
    func clearDeadReaders() { reader?.clearDeadReaders() }

    private func opened() throws -> CatalogReader {
        if let reader, reader.isCurrent { return reader }
        // Closed before the path is opened again: two handles of one file in a process lose their locks.
        reader = nil
        let opened = try CatalogReader(path: path)
        reader = opened
        return opened
    }
}
