import Catalog
import IdentifierIndex
import Core

/// Finding what changed.
extension GenerationPipeline {
    /// Finds what changed: from the change log where that records all of it, else by comparing the whole catalog.
    ///
    /// - Returns: the changes, and why the log could not give them if it could not.
    func compare(_ catalog: CatalogWatch) async throws -> (changes: ChangeSet, fault: LogFault?) {
        let (cursor, tally) = (progress.cursor, progress.tally)
        var fault = LogFault.noPosition
        if let cursor {
            switch try await catalog.changes(since: cursor) {
            case .changes(let logged):
                return try await threads.ahead.run { [index] in
                    var changes = ChangeSet(logged, known: try index.digests(of: logged.items))
                    // The guard on deletions asks how many items there are. Counting them takes a scan of the index;
                    // it is made only where the answer could matter.
                    changes.known = max(tally.live, tally.quarantined)
                    if changes.deleted.count * 5 > changes.known { changes.known = try index.count() }
                    return (changes, nil)
                }
            case .unusable(let reason): fault = reason
            }
        }
        // Deletions by a writer that keeps committing can only be proved in one snapshot.
        let changes = try await compareAll(catalog, holding: false)
        guard changes.missed > 0 else { return (changes, fault) }
        var proved = try await compareAll(catalog, holding: true)
        proved.scanned += changes.scanned
        return (proved, fault)
    }

    private func compareAll(_ catalog: CatalogWatch, holding: Bool) async throws -> ChangeSet {
        let known = KnownItemsPrefetcher(index, on: threads.ahead)
        return try await catalog.changes(holding: holding) {
            // A scan of millions of items must not keep the daemon from ending.
            try Task.checkCancellation()
            return try known.next()
        }
    }

    /// The cursor that chunks before the last one must leave: nil, which keeps the present one, unless the changes come from
    /// a catalog that does not continue from it (another file, an older state, another boot).
    ///
    /// If the old catalog were restored after only some of such changes were applied, the old cursor would wrongly look up
    /// to date. This one answers no version, so that everything is compared.
    func brokenCursor(by changes: ChangeSet) -> CatalogCursor? {
        guard var version = progress.cursor?.version, !changes.version.covers(version) else {
            return nil
        }
        version.transaction = 0
        return CatalogCursor(version: version)
    }
}
