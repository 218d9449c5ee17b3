import GRDB
import SQLiteStore
import Core

/// Rows that follow from what was decided.
extension ChunkWriter {
    /// Writes the identifiers given, in the order of their table.
    ///
    /// - Precondition: `given` is sorted.
    func writeIdentifiers(of items: [EncodedItem]) throws {
        let insert = try PreparedStatement(
            database, "INSERT OR IGNORE INTO \(identity.identifierTable) (codes, item) VALUES (?, ?)")
        for (codes, row) in given {
            insert.bind(1, codes)
            insert.bind(2, items[row].id.bytes)
            guard try insert.run() == 1 else { throw Self.taken(codes) }
        }
    }

    mutating func writeCollision(
        _ id: ItemID, bucket: Identifier, codes: Identifier, rank: Int, rule: CollisionRule
    ) throws {
        let statement = try PreparedStatement(
            database, "INSERT INTO collision (item, bucket, codes, rank, rule, since) VALUES (?, ?, ?, ?, ?, ?)")
        statement.bind(1, id.bytes)
        statement.bind(2, bucket)
        statement.bind(3, codes)
        statement.bind(4, rank)
        statement.bind(5, text: rule.rawValue)
        statement.bind(6, now)
        try statement.run()
        tally.collisions += 1
    }

    mutating func forgetCollision(of id: ItemID) throws {
        if try run("DELETE FROM collision WHERE item = ?", id.bytes) > 0 { tally.collisions -= 1 }
    }

    func writeHistory(_ id: ItemID, old: Identifier?, new: Identifier?, why: String) throws {
        let statement = try PreparedStatement(
            database, "INSERT INTO history (item, old, new, at, why) VALUES (?, ?, ?, ?, ?)")
        statement.bind(1, id.bytes)
        if let old { statement.bind(2, old) } else { statement.bindNull(2) }
        if let new { statement.bind(3, new) } else { statement.bindNull(3) }
        statement.bind(4, now)
        statement.bind(5, text: why)
        try statement.run()
    }

    // MARK: - Trie, cursor

    /// Adds the chunk's changes to the trie's counts, level by level in key order; nodes that become empty go.
    ///
    /// - Precondition: `given` is sorted.
    mutating func writeNodes() throws {
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

    func write(_ cursor: CatalogCursor) throws {
        let statement = try PreparedStatement(
            database,
            """
            INSERT OR REPLACE INTO cursor
                (one, device, inode, catalog_transaction, boot, at, log_epoch, log_sequence, log_nonce)
            VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        statement.bind(1, Int(bitPattern: UInt(cursor.version.device)))
        statement.bind(2, Int(bitPattern: UInt(cursor.version.inode)))
        statement.bind(3, Int(bitPattern: UInt(cursor.version.transaction)))
        statement.bind(4, text: cursor.version.boot)
        statement.bind(5, now)
        if let log = cursor.log {
            withUnsafeBytes(of: log.epoch.bigEndian) { statement.bind(6, $0) }
            statement.bind(7, Int(bitPattern: UInt(log.sequence)))
            statement.bind(8, Int(bitPattern: UInt(log.nonce)))
        } else {
            for column in Int32(6)...8 { statement.bindNull(column) }
        }
        try statement.run()
    }
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

extension Tally {
    /// The counts under the names of their rows.
    var rows: [(name: String, value: Int)] {
        [
            ("live", live), ("stale", stale), ("quarantined", quarantined), ("collisions", collisions),
            ("tombstones", tombstones),
        ]
    }

    /// Reads the counts of an index.
    init(_ database: Database) throws {
        let statement = try PreparedStatement(database, "SELECT name, value FROM tally")
        while try statement.step() {
            let value = statement.integer(1)
            switch statement.text(0) {
            case "live": live = value
            case "stale": stale = value
            case "quarantined": quarantined = value
            case "collisions": collisions = value
            default: tombstones = value
            }
        }
    }

    func write(_ database: Database, replacing old: Tally) throws {
        let statement = try PreparedStatement(database, "UPDATE tally SET value = ? WHERE name = ?")
        for (new, old) in zip(rows, old.rows) where new.value != old.value {
            statement.bind(1, new.value)
            statement.bind(2, text: new.name)
            try statement.run()
        }
    }
}
