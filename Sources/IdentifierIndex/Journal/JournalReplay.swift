import GRDB
import SQLiteStore
import Core

/// Replays the records of a journal into the tables of a new index.
struct JournalReplay {
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

    func apply(_ event: AssignmentEvent, time: Int) throws {
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
            // Other identifiers that it left now count as left by an edit.
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

    /// Writes the table of identifiers.
    ///
    /// - Throws: `DatabaseError` if two items have the same one: the journal is damaged.
    func finish() throws {
        try database.execute(
            sql: """
                INSERT INTO \(identity.identifierTable) (codes, item)
                SELECT codes, id FROM item WHERE codes IS NOT NULL ORDER BY codes, id
                """)
    }

    /// Whether an item is there already, or another item has these codes or left them.
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
        return try statement.step()
    }

    /// Gives an item that the journal does not mention the identifier that a damaged index says it has.
    func add(_ event: AssignmentEvent) throws {
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
