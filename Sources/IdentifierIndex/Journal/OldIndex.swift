import Files
import GRDB
import SQLiteStore
import Core

/// The index that is to be replaced: read as far as possible, never relied on.
struct OldIndex {
    private let queue: DatabaseQueue?

    /// Closes it, before its files are renamed.
    func close() { try? queue?.close() }

    /// A row of the table `fact`.
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

    /// Adds the identifiers that the journal does not mention. Returns how many.
    func salvage(into replay: JournalReplay, levels: Int) throws -> Int {
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

    /// Calls `body` with rows until there are no more or one cannot be read; what `body` throws is rethrown. Returns for
    /// how many rows `body` returned true.
    private func read(_ sql: String, _ body: (PreparedStatement) throws -> Bool) throws -> Int {
        guard let queue else { return 0 }
        var taken = 0
        var failure: (any Error)?
        // What cannot be read of a damaged file is lost; that is not an error here.
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
