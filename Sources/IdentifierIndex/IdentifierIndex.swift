package import SQLiteStore
package import Trie
package import Core

/// The index of one generation: items, identifiers, trie, collisions, tombstones, quarantine and the catalog cursor.
///
/// One thread at a time writes; any number read. Each call reads one snapshot, so a reader sees all of a chunk or nothing
/// of it. All calls block on the disk: none may run on the cooperative thread pool.
///
/// This is the outside of an index. Inside, `IndexFile` opens its files, `IndexWriter` applies chunks, `IndexReader` and
/// `IndexTrie` answer, `IndexProof` verifies.
package final class IdentifierIndex: Sendable {
    private let file: IndexFile
    private let reader: IndexReader
    private let writer: IndexWriter
    private let trieInMemory: IndexTrie

    /// What the index was made for.
    package var identity: IndexIdentity { file.identity }
    /// What was done to the database when it was opened.
    package var opening: SQLiteStore.Opening { file.store.opening }
    /// What was done about the journal when the index was opened.
    package var journalOpening: JournalOpening { file.journalOpening }
    /// The database, for tests.
    var store: SQLiteStore { file.store }

    /// Opens the index at `path`, or makes it.
    ///
    /// A new index is made for `identity`; an existing one keeps its own collision policy and arithmetic. A database that
    /// was not closed cleanly is checked, also for items and identifiers that contradict each other.
    ///
    /// - Parameters:
    ///   - mustExist: whether the index was in use before, so that a lost one must not be replaced by a new one.
    ///   - background: where the trie in memory is loaded and merged, and where the journal is compacted: jobs that take up
    ///     to a few seconds a million items.
    ///   - compacted: called in the background after each compaction of the journal, or with the reason why it failed; the
    ///     journal is whole and in use either way, unless the failure is fatal. Then the next chunk throws it too.
    /// - Throws: `StoreError`; `index.mismatch` if the file belongs to another generation or model;
    ///   `index.older_than_journal`; `index.no_journal`.
    package convenience init(
        path: String, identity: IndexIdentity, mustExist: Bool = false,
        background: @escaping LiveTrie.Background = { $0() },
        compacted: @escaping @Sendable (Result<JournalCompaction, any Error>) -> Void = { _ in }
    ) throws {
        try self.init(
            path: path, identity: identity, mustExist: mustExist, background: background, compaction: .init(),
            compacted: compacted)
    }

    /// The same with settings for the compaction of the journal.
    init(
        path: String, identity: IndexIdentity, mustExist: Bool, background: @escaping LiveTrie.Background,
        compaction: JournalCompaction.Settings,
        compacted: @escaping @Sendable (Result<JournalCompaction, any Error>) -> Void
    ) throws {
        file = try IndexFile(path: path, identity: identity, mustExist: mustExist)
        reader = IndexReader(store: file.store, identity: file.identity)
        trieInMemory = IndexTrie(file, background: background)
        writer = IndexWriter(
            file, trie: trieInMemory,
            compactor: JournalCompactor(file, settings: compaction, background: background, report: compacted))
    }

    /// Closes the files and saves the trie for the next start. A compaction of the journal that is under way ends first.
    ///
    /// - Throws: `StoreError`; the database is then checked when it is next opened.
    package func close() throws {
        writer.close()
        try trieInMemory.close()
        try file.store.close()
    }

    // MARK: - Writing

    /// Applies a chunk in one durable transaction. O(items of the chunk · log items of the index).
    ///
    /// - Parameters:
    ///   - distances: asked about items whose natural codes are taken.
    ///   - rules: how identifiers are assigned.
    ///   - now: milliseconds since 1970.
    /// - Returns: how much the index holds then.
    /// - Throws: `StoreError`; `CancellationError` if the task is cancelled meanwhile. Nothing of the chunk is applied then.
    package func apply(
        _ chunk: Chunk, distances: some ItemDistances, rules: AssignmentRules = AssignmentRules(), now: Int
    ) throws -> Tally {
        try writer.apply(chunk, distances: distances, rules: rules, now: now)
    }

    // MARK: - For following the catalog

    /// How far the index has followed the catalog; nil before the first build is complete.
    ///
    /// - Throws: `StoreError`, as all calls below do.
    package func cursor() throws -> CatalogCursor? { try reader.cursor() }

    /// Up to `limit` known items after an id (nil: from the start), in key order. O(limit).
    package func known(after id: ItemID?, limit: Int) throws -> KnownItems {
        try reader.known(after: id, limit: limit)
    }

    /// The digest of the record that each item's row was made from, in the order asked; nil for items that the index
    /// does not know. O(ids · log items).
    package func digests(of ids: [ItemID]) throws -> [Digest?] { try reader.digests(of: ids) }

    /// How many items the index knows, those that never had an identifier included. O(items).
    package func count() throws -> Int { try reader.count() }

    /// The mean quantisation error ‖r_L‖² of the items with an identifier: how well the tokenizer fits what the index
    /// holds; nil if there are none. O(items).
    package func meanQuantisationError() throws -> Double? { try reader.meanQuantisationError() }

    /// How much the index holds. O(1).
    package func tally() throws -> Tally { try reader.tally() }

    // MARK: - Look-ups

    /// What the index knows of items, in the order asked. O(ids · log items).
    package func items(_ ids: [ItemID]) throws -> [ItemLookup] { try reader.items(ids) }

    /// Which items have each identifier, in the order asked. O(identifiers · log items + items found).
    package func owners(of identifiers: [Identifier]) throws -> [IdentifierOwner] {
        try reader.owners(of: identifiers)
    }

    /// The codes that may follow each prefix, and how many live items are below it: from the trie in memory if it is
    /// loaded, else from the database. Nothing follows a whole identifier.
    ///
    /// In memory O(prefixes · (levels · log siblings + children)); in the database O(prefixes · (log items + children)),
    /// for prefixes that lack one code or two + the items below.
    package func successors(of prefixes: [Identifier]) throws -> [Successors] {
        guard let trie else { return try storedSuccessors(of: prefixes) }
        var lists = TrieSuccessors()
        trie.successors(of: prefixes, into: &lists)
        return prefixes.indices.map { Successors(codes: Array(lists[$0]), items: lists.items[$0]) }
    }

    /// The same, always from the database.
    package func storedSuccessors(of prefixes: [Identifier]) throws -> [Successors] {
        try reader.successors(of: prefixes)
    }

    /// Up to `limit` live identifiers below a prefix, after one if given, in trie order, each with all of its items.
    ///
    /// O(log items + items found).
    package func identifiers(
        below prefix: Identifier, after: Identifier?, limit: Int
    ) throws -> [(codes: Identifier, items: [ItemID])] {
        try reader.identifiers(below: prefix, after: after, limit: limit)
    }

    /// Collisions in key order of the items, after an id if given. O(log items + limit).
    package func collisions(after id: ItemID?, limit: Int) throws -> [CollisionRow] {
        try reader.collisions(after: id, limit: limit)
    }

    /// Quarantined records in key order, after an id if given. O(log items + limit).
    package func quarantine(after id: ItemID?, limit: Int) throws -> [QuarantineRow] {
        try reader.quarantine(after: id, limit: limit)
    }

    /// Every live identifier in key order of the items. O(items), in time and memory: a slow reader of the result keeps no
    /// transaction open.
    package func dump() throws -> IdentifierDump { try reader.dump() }

    // MARK: - The trie in memory

    /// The trie of live identifiers as it is after the last commit; nil until `loadTrie` is done. O(1).
    package var trie: TrieSnapshot? { trieInMemory.snapshot }

    /// Loads the trie in the background; until it is loaded, and if that fails, the database answers. O(items).
    ///
    /// - Parameter done: called in the background with how it was loaded, or with the reason why it was not;
    ///   `CancellationError` if the index was closed meanwhile.
    package func loadTrie(done: @escaping @Sendable (Result<TrieLoad, any Error>) -> Void = { _ in }) {
        trieInMemory.load(done: done)
    }

    // MARK: - Checks

    /// Proves, in one snapshot, that the tables, the trie in memory and the journal agree.
    ///
    /// O(items · log items), a few seconds a million. Begins after the chunk that is being applied; reading and writing go
    /// on meanwhile.
    ///
    /// - Throws: `StoreError` where the file cannot be read at all.
    package func verify() throws -> [IndexFinding] { try IndexProof.findings(of: file, trie: trieInMemory) }

    /// What `PRAGMA quick_check`, or if `deep` `integrity_check`, finds wrong with the database. O(size).
    package func problems(deep: Bool) throws -> [String] {
        deep ? try file.store.integrityProblems() : try file.store.quickProblems()
    }
}
