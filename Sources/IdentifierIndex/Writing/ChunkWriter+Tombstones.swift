import GRDB
import SQLiteStore
import Core

/// Items that leave the catalog, identifiers that are left, and records that cannot be encoded.
extension ChunkWriter {
    mutating func delete(_ id: ItemID) throws {
        guard let existing = try existing(id) else { return }
        if existing.status == .quarantined { try leaveQuarantine(id) }
        if existing.status == .stale { tally.stale -= 1 }
        if let codes = existing.codes {
            try leave(codes, bucket: try bucket(of: id, codes: codes), item: id, isDeleted: true)
            try writeHistory(id, old: codes, new: nil, why: "deleted")
        }
        try run("DELETE FROM item WHERE id = ?", id.bytes)
    }

    /// Takes an identifier from its item and makes a tombstone of it.
    ///
    /// - Precondition: the item got it in an earlier chunk.
    mutating func leave(_ codes: Identifier, bucket: Identifier, item: ItemID, isDeleted: Bool) throws {
        if identity.policy == .share {
            owners[codes] = try owners(of: codes) - 1
            let remove = try PreparedStatement(database, "DELETE FROM shared_identifier WHERE codes = ? AND item = ?")
            remove.bind(1, codes)
            remove.bind(2, item.bytes)
            try remove.run()
        } else {
            try run("DELETE FROM identifier WHERE codes = ?", codes.bytes)
        }
        try forgetCollision(of: item)
        let bury = try PreparedStatement(
            database, "INSERT INTO tombstone (codes, item, bucket, since, deleted) VALUES (?, ?, ?, ?, ?)")
        bury.bind(1, codes)
        bury.bind(2, item.bytes)
        bury.bind(3, bucket)
        bury.bind(4, now)
        bury.bind(5, isDeleted ? 1 : 0)
        try bury.run()
        tally.live -= 1
        tally.tombstones += 1
        record.left(codes, by: item, bucket: bucket, isDeleted: isDeleted, since: now)
        occupied.hasTombstones = true
        for length in 0..<identity.countedLength { nodes[codes.prefix(length + 1), default: 0] -= 1 }
    }

    // MARK: - Tombstones

    /// The identifiers that an item left, the last one first.
    func tombstones(of id: ItemID) throws -> [Tombstone] {
        guard tally.tombstones > 0 else { return [] }
        let statement = try PreparedStatement(
            database,
            "SELECT codes, bucket, deleted FROM tombstone WHERE item = ? ORDER BY deleted DESC, since DESC, codes")
        statement.bind(1, id.bytes)
        var found: [Tombstone] = []
        while try statement.step() {
            if let codes = statement.identifier(0), let bucket = statement.identifier(1) {
                found.append(Tombstone(codes: codes, bucket: bucket, isLast: statement.integer(2) == 1))
            }
        }
        return found
    }

    mutating func forgetTombstone(_ codes: Identifier, of id: ItemID) throws {
        let statement = try PreparedStatement(database, "DELETE FROM tombstone WHERE codes = ? AND item = ?")
        statement.bind(1, codes)
        statement.bind(2, id.bytes)
        tally.tombstones -= try statement.run()
    }

    /// Ends the tombstone of an identifier that is given to another item: it is old enough, else it were not free.
    mutating func giveAway(_ codes: Identifier, to id: ItemID) throws {
        let statement = try PreparedStatement(database, "DELETE FROM tombstone WHERE codes = ? RETURNING item")
        statement.bind(1, codes)
        var owners: [ItemID] = []
        while try statement.step() { owners.append(ItemID(unchecked: statement.bytes(0))) }
        tally.tombstones -= owners.count
        for owner in owners where owner != id { try writeHistory(owner, old: codes, new: nil, why: "given_away") }
    }

    // MARK: - Quarantine

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

    @discardableResult
    func run(_ sql: String, _ key: [UInt8]) throws -> Int {
        let statement = try PreparedStatement(database, sql)
        statement.bind(1, key)
        return try statement.run()
    }
}
