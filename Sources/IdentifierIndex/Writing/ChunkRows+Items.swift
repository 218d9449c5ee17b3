import GRDB
import SQLiteStore
import Core

/// Writing what was decided about an item.
extension ChunkRows {
    /// Writes the decision about an encoded item: everything but its row in the table of identifiers, which is written at
    /// the end of the chunk.
    func write(_ decision: ItemDecision, for item: EncodedItem, before: StoredItem?) throws {
        if before?.status == .quarantined { try leaveQuarantine(item.id) }
        if before?.status == .stale { tally.stale -= 1 }
        if decision.demoted != nil { try run("UPDATE tombstone SET deleted = 0 WHERE item = ?", item.id.bytes) }
        if let left = decision.left { try leave(left, item: item.id, isDeleted: false) }
        switch decision.outcome {
        case .keeps(let codes, let status, let isExplained):
            if isExplained {
                try forgetCollision(of: item.id)
                record.explained(codes, of: item.id)
            }
            try upsert(item, codes: codes, status: status)
        case .gets(let found, let status):
            try give(found, to: item)
            tally.live += 1
            try upsert(item, codes: found.codes, status: status)
        case .noneFree:
            // With an identifier the journal would show without this that its tombstones are earlier ones.
            if let demoted = decision.demoted {
                record.stands(
                    demoted.codes, of: item.id, bucket: demoted.bucket, isDeleted: false, since: demoted.since)
            }
            // One item that finds no identifier must not keep the others of its chunk from theirs.
            let detail =
                identity.policy == .suffix
                ? "All 65536 identifiers of the bucket \(item.natural) are taken."
                : "Every one of the \(identity.codesPerLevel)^\(identity.levels) identifiers is taken."
            try quarantine(
                RejectedItem(id: item.id, digest: item.digest, reason: "no_free_identifier", detail: detail),
                before: nil)
        }
        if let event = decision.event { try writeHistory(item.id, event) }
    }

    /// Ends what stood in the way of an identifier, and records that the item has it.
    private func give(_ found: Assignment, to item: EncodedItem) throws {
        if found.wasLeft {
            try forgetTombstone(found.codes, of: item.id)
        } else if reusesTombstones, tally.tombstones > 0 {
            try giveAway(found.codes, to: item.id)
        }
        record.given(
            found.codes, to: item.id, bucket: found.bucket,
            collision: found.rule.map { (found.rank, $0.rawValue) })
        if let rule = found.rule { try writeCollision(item.id, found, rule) }
    }

    private func upsert(_ item: EncodedItem, codes: Identifier, status: ItemStatus) throws {
        if status == .stale { tally.stale += 1 }
        upsertItem.bind(1, item.id.bytes)
        upsertItem.bind(2, item.digest)
        upsertItem.bind(3, codes)
        upsertItem.bind(4, item.natural)
        upsertItem.bind(5, Double(item.quantisationError))
        upsertItem.bind(6, Double(item.margin))
        upsertItem.bind(7, status.column)
        upsertItem.bind(8, now)
        try upsertItem.run()
    }

    /// Removes an item that left the catalog.
    func delete(_ id: ItemID, before: StoredItem, left: ItemDecision.Left?) throws {
        if before.status == .quarantined { try leaveQuarantine(id) }
        if before.status == .stale { tally.stale -= 1 }
        if let left {
            try leave(left, item: id, isDeleted: true)
            try writeHistory(id, .init(old: left.codes, new: nil, why: .deleted))
        }
        try run("DELETE FROM item WHERE id = ?", id.bytes)
    }

    // MARK: - Collisions, history

    private func writeCollision(_ id: ItemID, _ found: Assignment, _ rule: CollisionRule) throws {
        let statement = try PreparedStatement(
            database, "INSERT INTO collision (item, bucket, codes, rank, rule, since) VALUES (?, ?, ?, ?, ?, ?)")
        statement.bind(1, id.bytes)
        statement.bind(2, found.bucket)
        statement.bind(3, found.codes)
        statement.bind(4, found.rank)
        statement.bind(5, text: rule.rawValue)
        statement.bind(6, now)
        try statement.run()
        tally.collisions += 1
    }

    private func forgetCollision(of id: ItemID) throws {
        if try run("DELETE FROM collision WHERE item = ?", id.bytes) > 0 { tally.collisions -= 1 }
    }

    private func writeHistory(_ id: ItemID, _ event: ItemDecision.Event) throws {
        let statement = try PreparedStatement(
            database, "INSERT INTO history (item, old, new, at, why) VALUES (?, ?, ?, ?, ?)")
        statement.bind(1, id.bytes)
        if let old = event.old { statement.bind(2, old) } else { statement.bindNull(2) }
        if let new = event.new { statement.bind(3, new) } else { statement.bindNull(3) }
        statement.bind(4, now)
        statement.bind(5, text: event.why.rawValue)
        try statement.run()
    }

    // MARK: - Tombstones

    /// Takes an identifier from its item and makes a tombstone of it.
    private func leave(_ left: ItemDecision.Left, item: ItemID, isDeleted: Bool) throws {
        if identity.policy == .share {
            let remove = try PreparedStatement(database, "DELETE FROM shared_identifier WHERE codes = ? AND item = ?")
            remove.bind(1, left.codes)
            remove.bind(2, item.bytes)
            try remove.run()
        } else {
            try run("DELETE FROM identifier WHERE codes = ?", left.codes.bytes)
        }
        try forgetCollision(of: item)
        let bury = try PreparedStatement(
            database, "INSERT INTO tombstone (codes, item, bucket, since, deleted) VALUES (?, ?, ?, ?, ?)")
        bury.bind(1, left.codes)
        bury.bind(2, item.bytes)
        bury.bind(3, left.bucket)
        bury.bind(4, now)
        bury.bind(5, isDeleted ? 1 : 0)
        try bury.run()
        tally.live -= 1
        tally.tombstones += 1
        record.left(left.codes, by: item, bucket: left.bucket, isDeleted: isDeleted, since: now)
        occupied.hasTombstones = true
        for length in 0..<identity.countedLength { nodes[left.codes.prefix(length + 1), default: 0] -= 1 }
    }

    private func forgetTombstone(_ codes: Identifier, of id: ItemID) throws {
        let statement = try PreparedStatement(database, "DELETE FROM tombstone WHERE codes = ? AND item = ?")
        statement.bind(1, codes)
        statement.bind(2, id.bytes)
        tally.tombstones -= try statement.run()
    }

    /// Ends the tombstone of an identifier that another item gets; it is old enough, or the identifier were not free.
    private func giveAway(_ codes: Identifier, to id: ItemID) throws {
        let statement = try PreparedStatement(database, "DELETE FROM tombstone WHERE codes = ? RETURNING item")
        statement.bind(1, codes)
        var owners: [ItemID] = []
        while try statement.step() { owners.append(ItemID(unchecked: statement.bytes(0))) }
        tally.tombstones -= owners.count
        for owner in owners where owner != id {
            try writeHistory(owner, .init(old: codes, new: nil, why: .givenAway))
        }
    }

    // MARK: - Quarantine

    /// Quarantines a record; the item keeps its identifier if it has one.
    func quarantine(_ rejected: RejectedItem, before: StoredItem?) throws {
        let insert = try PreparedStatement(
            database,
            """
            INSERT INTO item (id, digest, status, since) VALUES (?, ?, \(ItemStatus.quarantined.column), ?)
            ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, status = excluded.status, since = excluded.since
            """)
        insert.bind(1, rejected.id.bytes)
        insert.bind(2, rejected.digest)
        insert.bind(3, now)
        try insert.run()
        // Counted by the row itself: an item may leave and enter again within one chunk.
        try leaveQuarantine(rejected.id)
        tally.quarantined += 1
        let statement = try PreparedStatement(
            database, "INSERT OR REPLACE INTO quarantine (item, reason, detail, since) VALUES (?, ?, ?, ?)")
        statement.bind(1, rejected.id.bytes)
        statement.bind(2, text: rejected.reason)
        statement.bind(3, text: rejected.detail)
        statement.bind(4, now)
        try statement.run()
        if before?.status == .stale { tally.stale -= 1 }
    }

    private func leaveQuarantine(_ id: ItemID) throws {
        if try run("DELETE FROM quarantine WHERE item = ?", id.bytes) > 0 { tally.quarantined -= 1 }
    }
}
