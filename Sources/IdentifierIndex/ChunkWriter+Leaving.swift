internal import GRDB
internal import SQLiteStore
internal import Vocabulary

/// Items that leave the catalog, and records that cannot be encoded.
extension ChunkWriter {
    mutating func delete(_ id: ItemID) throws {
        guard let existing = try existing(id) else { return }
        if existing.status == .quarantined { try leaveQuarantine(id) }
        if existing.status == .stale { tally.stale -= 1 }
        if let codes = existing.codes {
            let bucket = try bucket(of: id, codes: codes)
            try run("DELETE FROM identifier WHERE codes = ?", codes.bytes)
            if try run("DELETE FROM collision WHERE item = ?", id.bytes) > 0 { tally.collisions -= 1 }
            let bury = try PreparedStatement(
                database, "INSERT INTO tombstone (codes, item, bucket, since) VALUES (?, ?, ?, ?)")
            bury.bind(1, codes)
            bury.bind(2, id.bytes)
            bury.bind(3, bucket)
            bury.bind(4, now)
            try bury.run()
            try writeHistory(id, old: codes, new: nil, why: "deleted")
            tally.live -= 1
            tally.tombstones += 1
            count(codes, -1)
        }
        try run("DELETE FROM item WHERE id = ?", id.bytes)
    }

    mutating func takeTombstone(of id: ItemID) throws -> (codes: Identifier, bucket: Identifier)? {
        let statement = try PreparedStatement(
            database, "DELETE FROM tombstone WHERE item = ? RETURNING codes, bucket")
        statement.bind(1, id.bytes)
        var found: (codes: Identifier, bucket: Identifier)?
        while try statement.step() {
            if let codes = statement.identifier(0), let bucket = statement.identifier(1) { found = (codes, bucket) }
        }
        if found != nil { tally.tombstones -= 1 }
        return found
    }

    mutating func quarantine(_ rejected: RejectedItem) throws {
        let existing = try existing(rejected.id)
        let insert = try PreparedStatement(
            database,
            """
            INSERT INTO item (id, digest, status, since) VALUES (?, ?, \(ItemStanding.quarantined.rawValue), ?)
            ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, status = excluded.status, since = excluded.since
            """)
        insert.bind(1, rejected.id.bytes)
        insert.bind(2, rejected.digest)
        insert.bind(3, now)
        try insert.run()
        // Counted by the row itself: an item may leave and enter again within one chunk.
        try leaveQuarantine(rejected.id)
        tally.quarantined += 1
        let record = try PreparedStatement(
            database, "INSERT OR REPLACE INTO quarantine (item, reason, detail, since) VALUES (?, ?, ?, ?)")
        record.bind(1, rejected.id.bytes)
        record.bind(2, text: rejected.reason)
        record.bind(3, text: rejected.detail)
        record.bind(4, now)
        try record.run()
        if existing?.status == .stale { tally.stale -= 1 }
    }

    mutating func leaveQuarantine(_ id: ItemID) throws {
        if try run("DELETE FROM quarantine WHERE item = ?", id.bytes) > 0 { tally.quarantined -= 1 }
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

    @discardableResult
    func run(_ sql: String, _ key: [UInt8]) throws -> Int {
        let statement = try PreparedStatement(database, sql)
        statement.bind(1, key)
        return try statement.run()
    }
}
