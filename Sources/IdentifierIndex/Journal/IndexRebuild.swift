import Files
import GRDB
import SQLiteStore
import Core

/// Makes an index again from its journal.
///
/// The new file is made beside the old one, proved, synced and renamed. Its items have neither a digest nor natural codes:
/// the daemon finds each of them changed, encodes it anew and gives it the rest of its row, and nobody's identifier changes
/// by that.
package struct IndexRebuild: Sendable {
    /// What came of it.
    package struct Outcome: Sendable, Hashable {
        /// Items that have the identifier they had, and identifiers kept from others.
        package var items = 0
        package var tombstones = 0
        /// Items whose identifier was found in the damaged index alone, because the journal was damaged too.
        package var salvaged = 0
        /// Rows of history that could be read from the damaged index.
        package var history = 0
        /// Whether the journal was read to its end: then nothing is missing.
        package var isComplete = true
        /// Where the old files are.
        package var aside: [String] = []
    }

    private let path: String
    private var identity: IndexIdentity
    private var outcome = Outcome()

    /// Makes the index at `path` again. The daemon must not run. O(items · log items).
    ///
    /// - Throws: `index.no_journal` if there is nothing to make it from; `StoreError`. The old files stay as they are then.
    package static func run(path: String, identity: IndexIdentity) throws -> Outcome {
        var rebuild = IndexRebuild(path: path, identity: identity)
        return try rebuild.run()
    }

    private init(path: String, identity: IndexIdentity) {
        self.path = path
        self.identity = identity
    }

    private mutating func run() throws -> Outcome {
        let new = IdentifierIndex.sibling(of: path, "rebuild.sqlite")
        for suffix in ["", "-wal", "-shm", "-clean"] { try FileSystem.removeTree(new + suffix) }
        let journal = IdentifierIndex.journalPath(of: path)
        guard FileSystem.exists(journal) || FileSystem.exists(path) else {
            throw IndexError(
                .noJournal, "There is neither \(journal) nor \(path).",
                remedy: "Restore one of them from a backup, or publish the model as a new generation.")
        }
        let store = try SQLiteStore(path: new, settings: IdentifierIndex.settings)
        let old = OldIndex(path)
        // An index keeps its policy, whatever is configured now.
        let policy = AssignmentJournal.policy(journal) ?? old.fact("policy").flatMap(CollisionPolicy.init)
        identity.policy = policy ?? identity.policy
        identity.arithmetic = old.fact("kernel")
        let last = try store.write { database in
            try identity.write(database)
            return try fill(database, journal: journal, old: old)
        }
        try IdentifierIndex.checkOwners(store, identity: identity, path: new)
        try store.close()
        try OpenFile(new, .read).sync()
        old.close()
        try swap(new: new, journal: journal, keepsJournal: last != nil)
        return outcome
    }

    /// Fills the empty tables. Returns the journal's last frame, if the journal goes on as it is.
    private mutating func fill(
        _ database: Database, journal: String, old: OldIndex
    ) throws -> AssignmentJournal.Position? {
        var replay = try JournalReplay(database, identity: identity)
        var last: AssignmentJournal.Position?
        var isWhole = false
        if FileSystem.exists(journal) {
            let fingerprint = AssignmentJournal.fingerprint(generation: identity.generation, model: identity.model)
            isWhole = try AssignmentJournal.read(journal, fingerprint: fingerprint) { frame in
                var position = 0
                while position < frame.records.count {
                    guard let event = AssignmentEvent(frame.records[...], at: &position) else {
                        throw StoreError.damaged(journal, "a record cannot be read")
                    }
                    try replay.apply(event, time: frame.time)
                }
                last = frame.position
            }
        }
        try replay.finish()
        outcome.isComplete = isWhole
        if !isWhole { outcome.salvaged = try old.salvage(into: &replay, levels: identity.levels) }
        outcome.history = try old.copyHistory(into: database)
        (outcome.items, outcome.tombstones) = try replay.writeTrie()
        let commit = last.map { IndexCommit(number: $0.commit, nonce: $0.nonce) } ?? IndexCommit().next
        try commit.write(database)
        guard isWhole, let last else { return nil }
        try IndexCommit.write(last, database)
        return last
    }

    /// Puts the new file in the old one's place. A crash on the way leaves no index and a journal: it is run again then.
    private mutating func swap(new: String, journal: String, keepsJournal: Bool) throws {
        let damaged = IdentifierIndex.sibling(of: path, "damaged.sqlite")
        for suffix in ["", "-wal"] where FileSystem.exists(path + suffix) {
            try FileSystem.rename(path + suffix, to: damaged + suffix)
            outcome.aside.append(damaged + suffix)
        }
        // Of no use without their database, and harmful with another.
        for suffix in ["-shm", "-clean"] { try FileSystem.removeTree(path + suffix) }
        try FileSystem.removeTree(IdentifierIndex.triePath(of: path))
        if !keepsJournal, FileSystem.exists(journal) {
            try FileSystem.rename(journal, to: journal + ".damaged")
            outcome.aside.append(journal + ".damaged")
        }
        try FileSystem.rename(new, to: path)
        try FileSystem.removeTree(new + "-clean")
    }
}

/// Writes what the journal tells into the tables of a new index.
private struct JournalReplay {
    private let database: Database
    private let identity: IndexIdentity
    private let give: PreparedStatement
    private let decide: PreparedStatement

    init(_ database: Database, identity: IndexIdentity) throws {
        self.database = database
        self.identity = identity
        give = try PreparedStatement(
            database,
            """
            INSERT INTO item (id, digest, codes, natural, quantisation_error, margin, status, since)
            VALUES (?, zeroblob(16), ?, NULL, 0, 0, 0, ?)
            ON CONFLICT (id) DO UPDATE SET codes = excluded.codes, since = excluded.since
            """)
        decide = try PreparedStatement(
            database, "INSERT INTO collision (item, bucket, codes, rank, rule, since) VALUES (?, ?, ?, ?, ?, ?)")
    }

    mutating func apply(_ event: AssignmentEvent, time: Int) throws {
        switch event.kind {
        case .given, .decided:
            give.bind(1, event.item.bytes)
            give.bind(2, event.codes)
            give.bind(3, time)
            try give.run()
            if identity.policy == .share {
                let own = try PreparedStatement(database, "DELETE FROM tombstone WHERE codes = ? AND item = ?")
                own.bind(1, event.codes)
                own.bind(2, event.item.bytes)
                try own.run()
            } else {
                try run("DELETE FROM tombstone WHERE codes = ?", event.codes.bytes)
            }
            // What it left otherwise is from before.
            try run("UPDATE tombstone SET deleted = 0 WHERE item = ?", event.item.bytes)
            try run("DELETE FROM collision WHERE item = ?", event.item.bytes)
            guard event.kind == .decided else { return }
            decide.bind(1, event.item.bytes)
            decide.bind(2, event.bucket)
            decide.bind(3, event.codes)
            decide.bind(4, event.rank)
            decide.bind(5, text: event.rule)
            decide.bind(6, time)
            try decide.run()
        case .explained:
            try run("DELETE FROM collision WHERE item = ?", event.item.bytes)
        case .deleted, .replaced:
            try run("DELETE FROM collision WHERE item = ?", event.item.bytes)
            try run("DELETE FROM item WHERE id = ?", event.item.bytes)
            try bury(event, isDeleted: event.kind == .deleted)
        case .deletedBefore: try bury(event, isDeleted: true)
        case .replacedBefore: try bury(event, isDeleted: false)
        }
    }

    private func bury(_ event: AssignmentEvent, isDeleted: Bool) throws {
        let statement = try PreparedStatement(
            database,
            "INSERT OR REPLACE INTO tombstone (codes, item, bucket, since, deleted) VALUES (?, ?, ?, ?, ?)")
        statement.bind(1, event.codes)
        statement.bind(2, event.item.bytes)
        statement.bind(3, event.bucket)
        statement.bind(4, event.since)
        statement.bind(5, isDeleted ? 1 : 0)
        try statement.run()
    }

    /// Writes the identifiers of the items.
    ///
    /// - Throws: `StoreError` if two items have one: the journal is not what was written.
    mutating func finish() throws {
        try database.execute(
            sql: """
                INSERT INTO \(identity.identifierTable) (codes, item)
                SELECT codes, id FROM item WHERE codes IS NOT NULL ORDER BY codes, id
                """)
    }

    /// Whether an item, or anybody with these codes, is there already.
    func has(_ item: ItemID, _ codes: Identifier) throws -> Bool {
        let statement = try PreparedStatement(
            database,
            """
            SELECT 1 WHERE EXISTS (SELECT 1 FROM item WHERE id = ?1)
                OR EXISTS (SELECT 1 FROM identifier WHERE codes = ?2)
                OR EXISTS (SELECT 1 FROM tombstone WHERE codes = ?2 AND \(identity.policy == .share ? 0 : 1))
            """)
        statement.bind(1, item.bytes)
        statement.bind(2, codes)
        defer { statement.reset() }
        return try statement.step()
    }

    /// Gives an item that the journal does not tell of what a damaged index says it has.
    mutating func add(_ event: AssignmentEvent) throws {
        try apply(event, time: 0)
        let insert = try PreparedStatement(
            database, "INSERT INTO \(identity.identifierTable) (codes, item) VALUES (?, ?)")
        insert.bind(1, event.codes)
        insert.bind(2, event.item.bytes)
        try insert.run()
    }

    /// Writes the inner nodes and the counts. Returns how many items and tombstones there are.
    func writeTrie() throws -> (items: Int, tombstones: Int) {
        let insert = try PreparedStatement(database, "INSERT INTO trie_node (prefix, code, items) VALUES (?, ?, ?)")
        for length in stride(from: 1, through: identity.countedLength, by: 1) {
            let paths = try PreparedStatement(
                database,
                "SELECT substr(codes, 1, \(2 * length)) AS path, count(*) FROM \(identity.identifierTable) GROUP BY path"
            )
            while try paths.step() {
                guard let path = paths.identifier(0) else { continue }
                insert.bind(1, path.prefix(length - 1))
                insert.bind(2, Int(path[length - 1]))
                insert.bind(3, paths.integer(1))
                try insert.run()
            }
        }
        var tally = Tally()
        func count(_ table: String) throws -> Int {
            try Int.fetchOne(database, sql: "SELECT count(*) FROM \(table)") ?? 0
        }
        tally.live = try count(identity.identifierTable)
        tally.collisions = try count("collision")
        tally.tombstones = try count("tombstone")
        try tally.write(database, replacing: Tally())
        return (tally.live, tally.tombstones)
    }

    private func run(_ sql: String, _ key: [UInt8]) throws {
        let statement = try PreparedStatement(database, sql)
        statement.bind(1, key)
        try statement.run()
    }
}

/// The index that is to be replaced: read as far as it can be, never relied on.
private struct OldIndex {
    private let queue: DatabaseQueue?

    /// Closes it, before its files get other names.
    func close() { try? queue?.close() }

    /// What the index says of itself.
    func fact(_ name: String) -> String? {
        try? queue?.read { database in
            try String.fetchOne(database, sql: "SELECT value FROM fact WHERE name = ?", arguments: [name])
        }
    }

    init(_ path: String) {
        var configuration = Configuration()
        configuration.readonly = true
        queue = FileSystem.exists(path) ? try? DatabaseQueue(path: path, configuration: configuration) : nil
    }

    /// Copies the history, row by row until one cannot be read. Returns how many rows.
    func copyHistory(into target: Database) throws -> Int {
        let insert = try PreparedStatement(
            target, "INSERT INTO history (item, old, new, at, why) VALUES (?, ?, ?, ?, ?)")
        return try read("SELECT item, old, new, at, why FROM history ORDER BY sequence") { row in
            insert.bind(1, row.bytes(0))
            for column in Int32(1)...2 {
                if let codes = row.identifier(column) {
                    insert.bind(column + 1, codes)
                } else {
                    insert.bindNull(column + 1)
                }
            }
            insert.bind(4, row.integer(3))
            insert.bind(5, text: row.text(4))
            try insert.run()
            return true
        }
    }

    /// Takes the identifiers that the journal does not tell of. Returns how many.
    func salvage(into replay: inout JournalReplay, levels: Int) throws -> Int {
        try read(
            """
            SELECT i.id, i.codes, c.bucket, c.rank, c.rule FROM item i LEFT JOIN collision c ON c.item = i.id
            WHERE i.codes IS NOT NULL
            """
        ) { row in
            guard let item = ItemID(row.bytes(0)), let codes = row.identifier(1), try !replay.has(item, codes) else {
                return false
            }
            let bucket = row.identifier(2)
            try replay.add(
                AssignmentEvent(
                    kind: bucket == nil ? .given : .decided, item: item, codes: codes,
                    bucket: bucket ?? codes.prefix(levels),
                    rank: row.integer(3), rule: row.text(4)))
            return true
        }
    }

    /// Gives rows to `body` until there are no more or one cannot be read; what `body` throws is thrown on. Returns how
    /// many it took.
    private func read(_ sql: String, _ body: (PreparedStatement) throws -> Bool) throws -> Int {
        guard let queue else { return 0 }
        var taken = 0
        var failure: (any Error)?
        // What cannot be read of a damaged file is what is lost of it: that is no error here.
        try? queue.read { database in
            let statement = try PreparedStatement(database, sql)
            while try statement.step() {
                do { if try body(statement) { taken += 1 } } catch {
                    failure = error
                    return
                }
            }
        }
        if let failure { throw failure }
        return taken
    }
}
