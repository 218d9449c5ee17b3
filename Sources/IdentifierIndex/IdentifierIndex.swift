import Files
import GRDB
package import SQLiteStore
import Synchronization
package import Trie
package import Core

/// The index of one generation: items, identifiers, trie, collisions, tombstones, quarantine and the catalog cursor.
///
/// One thread at a time writes; any number read, each call one snapshot: a reader sees a chunk whole or not at all.
/// All calls block on the disk, so none belongs on the cooperative thread pool.
package final class IdentifierIndex: Sendable {
    /// What the index is made for.
    package let identity: IndexIdentity

    /// The file.
    let path: String
    let store: SQLiteStore
    /// Who was given what, also outside the database.
    private let journal: AssignmentJournal
    /// What was done about the journal.
    package let journalOpening: JournalOpening
    /// The trie in memory, once it is loaded.
    let live: LiveTrie
    /// The commit whose trie its file has, if it is known to have one.
    let savedTrie = Mutex<Int?>(nil)
    /// Whether `close` was called: what is loaded then is not needed any more.
    let isClosing = Atomic(false)

    /// What was done to the file when it was opened.
    package var opening: SQLiteStore.Opening { store.opening }
    /// Length of an identifier.
    var length: Int { identity.identifierLength }

    /// 'LTRI', and the schema.
    static let settings = SQLiteStore.Settings(
        applicationID: 0x4C54_5249, migrations: Migrations(schema: PackageResources.index_sql),
        repair: "Stop letterd, run `letter index rebuild`, and start it again; or restore the file from a backup.")

    /// Opens the index file at `path`, or makes it.
    ///
    /// A new index is made for `identity`; one that is there keeps its collision policy and arithmetic, whatever `identity` says. A
    /// file that was not closed in order is checked, also for items and identifiers that contradict each other.
    ///
    /// - Parameters:
    ///   - mustExist: whether it was in use already, so that it must not begin anew if it is lost.
    ///   - background: where the trie in memory is loaded and merged.
    /// - Throws: `StoreError`; `index.mismatch` if the file belongs to another generation or model;
    ///   `index.older_than_journal`.
    package init(
        path: String, identity: IndexIdentity, mustExist: Bool = false,
        background: @escaping LiveTrie.Background = { $0() }
    ) throws {
        var identity = identity
        self.path = path
        live = LiveTrie(background: background)
        let isNew = try Self.isNew(path, identity: identity, mustExist: mustExist)
        store = try SQLiteStore(path: path, settings: Self.settings)
        let expected = identity.rows
        let stored = try store.read { database in
            try Row.fetchAll(database, sql: "SELECT name, value FROM fact").reduce(into: [String: String]()) {
                $0[$1["name"]] = $1["value"]
            }
        }
        if stored.isEmpty {
            try store.write { try identity.write($0) }
        } else if let wrong = expected.sorted(by: { $0.key < $1.key }).first(where: { stored[$0.key] != $0.value }) {
            throw IndexError(
                .mismatch, "\(path) has the \(wrong.key) '\(stored[wrong.key] ?? "")' where '\(wrong.value)' belongs.",
                remedy:
                    "Put back the model and the index that belong together, or publish the model as a new generation.")
        } else {
            guard let policy = CollisionPolicy(rawValue: stored["policy"] ?? "") else {
                throw IndexError(
                    .mismatch, "\(path) has the collision policy '\(stored["policy"] ?? "")', which is not known.",
                    remedy: "Use the version of Letter that wrote it, or publish the model as a new generation.")
            }
            identity.policy = policy
            identity.arithmetic = stored["kernel"]
        }
        self.identity = identity
        if store.opening.wasUnclean { try Self.checkOwners(store, identity: identity, path: path) }
        if isNew { try FileSystem.syncDirectory(FileSystem.parent(of: path)) }
        (journal, journalOpening) = try Self.openJournal(of: path, store: store, identity: identity)
    }

    /// Closes the file, its write-ahead log moved into it, and keeps the trie for the next start.
    package func close() throws {
        isClosing.store(true, ordering: .relaxed)
        try saveTrie()
        live.drop()
        try store.close()
    }

    // MARK: - Writing

    /// Applies a chunk in one durable transaction.
    ///
    /// - Parameters:
    ///   - distances: asked about items whose natural codes are taken.
    ///   - rules: of assignment.
    ///   - now: milliseconds since 1970.
    /// - Returns: how much the index holds then.
    /// - Throws: `StoreError`, `CancellationError` if the task is cancelled meanwhile; nothing is applied then.
    package func apply(
        _ chunk: Chunk, distances: some ItemDistances, rules: AssignmentRules = AssignmentRules(), now: Int
    ) throws -> Tally {
        let (tally, changes, commit, frame) = try store.write { database in
            var writer = try ChunkWriter(database, identity: identity, rules: rules, distances: distances, now: now)
            try writer.apply(chunk)
            let commit = try IndexCommit(database).next
            try commit.write(database)
            var frame: AssignmentJournal.Position?
            if !writer.record.bytes.isEmpty {
                // On the disk before the commit: what is answered is never without its record.
                frame = try journal.append(
                    writer.record.bytes, commit: commit.number, nonce: commit.nonce, time: now)
                if let frame { try IndexCommit.write(frame, database) }
            }
            return (writer.tally, writer.record.changes, commit.number, frame)
        }
        if let frame { journal.confirm(frame) }
        live.publish(changes, commit: commit)
        return tally
    }

    // MARK: - What the ingest asks

    /// How far the index has followed the catalog; nil before the first build is complete.
    package func cursor() throws -> CatalogCursor? {
        try store.read { database in
            let statement = try PreparedStatement(
                database,
                """
                SELECT device, inode, catalog_transaction, boot, log_epoch, log_sequence, log_nonce FROM cursor
                """)
            defer { statement.reset() }
            guard try statement.step() else { return nil }
            func number(_ column: Int32) -> UInt64 { UInt64(bitPattern: Int64(statement.integer(column))) }
            let epoch = statement.bytes(4)
            return CatalogCursor(
                version: CatalogVersion(
                    device: number(0), inode: number(1), transaction: number(2), boot: statement.text(3)),
                log: epoch.count == 16
                    ? LogPosition(
                        epoch: epoch.reduce(0) { $0 << 8 | UInt128($1) }, sequence: number(5), nonce: number(6))
                    : nil)
        }
    }

    /// Up to `limit` known items after an id (nil: from the start), in key order. O(limit).
    package func known(after id: ItemID?, limit: Int) throws -> KnownItems {
        try store.read { database in
            let statement = try PreparedStatement(
                database, "SELECT id, digest FROM item WHERE id > ? ORDER BY id LIMIT ?")
            // No id is empty, so all are after the empty one.
            statement.bind(1, id?.bytes ?? [])
            statement.bind(2, limit)
            var page = KnownItems()
            while try statement.step() {
                page.append(digest: statement.digest(1)) { statement.append(0, to: &$0) }
            }
            return page
        }
    }

    /// The digest of the record that each item's row was made from, in the order asked; nil for items that the index
    /// does not know. All from one snapshot. O(ids · log n).
    package func digests(of ids: [ItemID]) throws -> [Digest?] {
        try store.read { database in
            let statement = try PreparedStatement(database, "SELECT digest FROM item WHERE id = ?")
            return try ids.map { id in
                statement.bind(1, id.bytes)
                defer { statement.reset() }
                return try statement.step() ? statement.digest(0) : nil
            }
        }
    }

    /// How many items the index knows, those that never had an identifier included. O(n).
    package func count() throws -> Int {
        try store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM item") ?? 0 }
    }

    /// How many of what the index holds. O(1).
    package func tally() throws -> Tally {
        try store.read { try Tally($0) }
    }

    // MARK: - Look-ups

    /// What the index knows of items, in the order asked, all from one snapshot. O(ids · log n).
    package func items(_ ids: [ItemID]) throws -> [ItemLookup] {
        try store.read { database in
            let statement = try PreparedStatement(
                database, "SELECT codes, natural, status, quantisation_error, margin, since FROM item WHERE id = ?")
            let tombstone = try PreparedStatement(database, "SELECT 1 FROM tombstone WHERE item = ?")
            return try ids.map { id in
                statement.bind(1, id.bytes)
                guard try statement.step() else {
                    tombstone.bind(1, id.bytes)
                    defer { tombstone.reset() }
                    return try tombstone.step() ? .deleted : .unknown
                }
                defer { statement.reset() }
                return .known(
                    ItemRow(
                        codes: statement.identifier(0), natural: statement.identifier(1),
                        status: ItemStanding(rawValue: statement.integer(2)) ?? .live,
                        quantisationError: statement.double(3), margin: statement.double(4),
                        since: statement.integer(5)))
            }
        }
    }

    /// Whose each identifier is, in the order asked, all from one snapshot. O(identifiers · log n + items).
    package func owners(of identifiers: [Identifier]) throws -> [IdentifierOwner] {
        try store.read { database in
            let statement = try PreparedStatement(
                database, "SELECT item FROM \(identity.identifierTable) WHERE codes = ?")
            let tombstone = try PreparedStatement(database, "SELECT 1 FROM tombstone WHERE codes = ?")
            return try identifiers.map { codes in
                statement.bind(1, codes)
                var items: [ItemID] = []
                while try statement.step() { items.append(ItemID(unchecked: statement.bytes(0))) }
                if !items.isEmpty { return .items(items) }
                tombstone.bind(1, codes)
                defer { tombstone.reset() }
                return try tombstone.step() ? .deleted : .nobody
            }
        }
    }

    /// What can follow each prefix, and how many live items are below it; a whole identifier is followed by nothing.
    ///
    /// O(prefixes · (log n + children)); of the two last levels, + items below.
    package func children(of prefixes: [Identifier]) throws -> [TrieChildren] {
        try store.read { database in
            let inner = try PreparedStatement(
                database, "SELECT code, items FROM trie_node WHERE prefix = ? ORDER BY code")
            let leaves = try PreparedStatement(
                database, "SELECT codes FROM \(identity.identifierTable) WHERE codes BETWEEN ? AND ? ORDER BY codes")
            let leaf = try PreparedStatement(
                database, "SELECT count(*) FROM \(identity.identifierTable) WHERE codes = ?")
            return try prefixes.map { prefix in
                var children = TrieChildren(next: [], items: 0)
                if prefix.count < identity.countedLength {
                    inner.bind(1, prefix.bytes)
                    while try inner.step() {
                        children.next.append(Code(truncatingIfNeeded: inner.integer(0)))
                        children.items += inner.integer(1)
                    }
                } else if prefix.count < identity.identifierLength {
                    let missing = identity.identifierLength - prefix.count
                    leaves.bind(1, prefix.appending(contentsOf: repeatElement(0, count: missing)))
                    leaves.bind(2, prefix.appending(contentsOf: repeatElement(.max, count: missing)))
                    while try leaves.step() {
                        guard let codes = leaves.identifier(0) else { continue }
                        // Items with the same next code follow one another.
                        if children.next.last != codes[prefix.count] { children.next.append(codes[prefix.count]) }
                        children.items += 1
                    }
                } else if prefix.count == identity.identifierLength {
                    leaf.bind(1, prefix)
                    children.items = try leaf.step() ? leaf.integer(0) : 0
                    leaf.reset()
                }
                return children
            }
        }
    }

    /// Up to `limit` live identifiers below a prefix, after one if given, in trie order, each with all of its items.
    ///
    /// O(log n + items).
    package func identifiers(
        below prefix: Identifier, after: Identifier?, limit: Int
    ) throws -> [(codes: Identifier, items: [ItemID])] {
        guard prefix.count <= identity.identifierLength else { return [] }
        let missing = identity.identifierLength - prefix.count
        let first = prefix.appending(contentsOf: repeatElement(0, count: missing))
        let last = prefix.appending(contentsOf: repeatElement(.max, count: missing))
        return try store.read { database in
            let statement = try PreparedStatement(
                database,
                """
                SELECT codes, item FROM \(identity.identifierTable)
                WHERE codes BETWEEN ? AND ? AND codes > ? ORDER BY codes
                """)
            defer { statement.reset() }
            statement.bind(1, first)
            statement.bind(2, last)
            statement.bind(3, after ?? Identifier())
            var result: [(codes: Identifier, items: [ItemID])] = []
            while try statement.step() {
                guard let codes = statement.identifier(0) else { continue }
                let item = ItemID(unchecked: statement.bytes(1))
                if result.last?.codes == codes {
                    result[result.count - 1].items.append(item)
                } else if result.count < limit {
                    result.append((codes, [item]))
                } else {
                    break
                }
            }
            return result
        }
    }

    /// Collisions in key order of the items, after an id if given. O(log n + limit).
    package func collisions(after id: ItemID?, limit: Int) throws -> [CollisionRow] {
        try store.read { database in
            let statement = try PreparedStatement(
                database,
                """
                SELECT c.item, c.bucket, c.codes, c.rank, c.rule, c.since, i.natural
                FROM collision c LEFT JOIN item i ON i.id = c.item WHERE c.item > ? ORDER BY c.item LIMIT ?
                """)
            statement.bind(1, id?.bytes ?? [])
            statement.bind(2, limit)
            var rows: [CollisionRow] = []
            while try statement.step() {
                let bucket = statement.identifier(1) ?? []
                rows.append(
                    CollisionRow(
                        item: ItemID(unchecked: statement.bytes(0)), bucket: bucket,
                        natural: statement.identifier(6) ?? bucket, codes: statement.identifier(2) ?? [],
                        rank: statement.integer(3), rule: statement.text(4), since: statement.integer(5)))
            }
            return rows
        }
    }

    /// Quarantined records in key order, after an id if given. O(log n + limit).
    package func quarantine(after id: ItemID?, limit: Int) throws -> [QuarantineRow] {
        try store.read { database in
            let statement = try PreparedStatement(
                database, "SELECT item, reason, detail, since FROM quarantine WHERE item > ? ORDER BY item LIMIT ?")
            statement.bind(1, id?.bytes ?? [])
            statement.bind(2, limit)
            var rows: [QuarantineRow] = []
            while try statement.step() {
                rows.append(
                    QuarantineRow(
                        item: ItemID(unchecked: statement.bytes(0)), reason: statement.text(1),
                        detail: statement.text(2), since: statement.integer(3)))
            }
            return rows
        }
    }

    /// Every live identifier in key order of the items, from one snapshot, held compactly until it is written out.
    package func dump() throws -> IdentifierDump {
        try store.read { database in
            let statement = try PreparedStatement(
                database, "SELECT id, codes FROM item WHERE codes IS NOT NULL ORDER BY id")
            var dump = IdentifierDump()
            while try statement.step() {
                if let codes = statement.identifier(1) { dump.append(id: statement.bytes(0), codes: codes) }
            }
            return dump
        }
    }
}
