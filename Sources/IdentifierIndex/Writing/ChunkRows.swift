import GRDB
import SQLiteStore
import Core

/// The rows of a chunk: reads what decisions depend on, writes what was decided, and keeps the records of it for the
/// journal and the trie.
///
/// A class, because each decision gets it to ask: a structure of so many references would be copied for each item.
final class ChunkRows {
    let database: Database
    let identity: IndexIdentity
    /// Milliseconds since 1970, the same for every row of the chunk.
    let now: Int
    /// Tombstones from this time on block their identifiers.
    let blockingSince: Int
    /// Whether a tombstone may be given to another item once it is old enough.
    let reusesTombstones: Bool

    let selectItem: PreparedStatement
    let upsertItem: PreparedStatement

    /// The largest id that the index held before the chunk: later ids are new, and need not be looked up.
    let lastKnown: ItemID?
    /// Which codes were in use before the chunk.
    var occupied: OccupiedCodes
    /// Changes of the trie's counts other than by what is given, by path (prefix and code); written at the end.
    var nodes: [Identifier: Int] = [:]
    /// What is done to identifiers, for the journal and the trie in memory.
    var record = AssignmentRecord()
    var tally: Tally
    private let before: Tally

    init(_ database: Database, identity: IndexIdentity, rules: AssignmentRules, now: Int) throws {
        self.database = database
        self.identity = identity
        self.now = now
        blockingSince = rules.tombstoneReuse.map { now - $0 } ?? .min
        reusesTombstones = rules.tombstoneReuse != nil && identity.policy != .share
        selectItem = try PreparedStatement(database, "SELECT codes, natural, status FROM item WHERE id = ?")
        upsertItem = try PreparedStatement(
            database,
            """
            INSERT INTO item (id, digest, codes, natural, quantisation_error, margin, status, since)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, codes = excluded.codes, natural = excluded.natural,
                quantisation_error = excluded.quantisation_error, margin = excluded.margin, status = excluded.status,
                since = excluded.since
            """)
        let last = try PreparedStatement(database, "SELECT id FROM item ORDER BY id DESC LIMIT 1")
        lastKnown = try last.step() ? ItemID(unchecked: last.bytes(0)) : nil
        tally = try Tally(database)
        before = tally
        occupied = try OccupiedCodes(database, identity: identity, blockingSince: blockingSince)
    }

    @discardableResult
    func run(_ sql: String, _ key: [UInt8]) throws -> Int {
        let statement = try PreparedStatement(database, sql)
        statement.bind(1, key)
        return try statement.run()
    }

    // MARK: - At the end of the chunk

    /// Writes the identifiers given, in the order of their table.
    ///
    /// - Precondition: `given` is sorted.
    func writeIdentifiers(_ given: [(codes: Identifier, row: Int)], of items: [EncodedItem]) throws {
        let insert = try PreparedStatement(
            database, "INSERT OR IGNORE INTO \(identity.identifierTable) (codes, item) VALUES (?, ?)")
        for (codes, row) in given {
            insert.bind(1, codes)
            insert.bind(2, items[row].id.bytes)
            guard try insert.run() == 1 else { throw IndexError.alreadyTaken(codes) }
        }
    }

    /// Adds the chunk's changes to the trie's counts, level by level in key order; nodes that become empty go.
    ///
    /// - Precondition: `given` is sorted.
    func writeNodes(_ given: [(codes: Identifier, row: Int)]) throws {
        let nodes = try NodeStatements(database)
        for length in stride(from: 1, through: identity.countedLength, by: 1) {
            var start = 0
            while start < given.count {
                let path = given[start].codes.prefix(length)
                var end = start + 1
                while end < given.count, given[end].codes.prefix(length) == path { end += 1 }
                try nodes.add(end - start + (self.nodes.removeValue(forKey: path) ?? 0), at: path)
                start = end
            }
        }
        for (path, change) in self.nodes.sorted(by: { $0.key < $1.key }) { try nodes.add(change, at: path) }
        self.nodes = [:]
    }

    func writeTally() throws { try tally.write(database, replacing: before) }
}

/// Changes of the trie's counts.
private struct NodeStatements {
    private let insert: PreparedStatement
    private let remove: PreparedStatement
    private let subtract: PreparedStatement

    init(_ database: Database) throws {
        insert = try PreparedStatement(
            database,
            """
            INSERT INTO trie_node (prefix, code, items) VALUES (?, ?, ?)
            ON CONFLICT (prefix, code) DO UPDATE SET items = items + excluded.items
            """)
        remove = try PreparedStatement(
            database, "DELETE FROM trie_node WHERE prefix = ? AND code = ? AND items = ?")
        subtract = try PreparedStatement(
            database, "UPDATE trie_node SET items = items - ? WHERE prefix = ? AND code = ?")
    }

    func add(_ change: Int, at path: Identifier) throws {
        let prefix = path.prefix(path.count - 1)
        let code = Int(path[path.count - 1])
        if change > 0 {
            insert.bind(1, prefix)
            insert.bind(2, code)
            insert.bind(3, change)
            try insert.run()
        } else if change < 0 {
            remove.bind(1, prefix)
            remove.bind(2, code)
            remove.bind(3, -change)
            if try remove.run() == 1 { return }
            subtract.bind(1, -change)
            subtract.bind(2, prefix)
            subtract.bind(3, code)
            try subtract.run()
        }
    }
}
