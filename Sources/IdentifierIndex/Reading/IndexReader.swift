import GRDB
import SQLiteStore
import Core

/// Reads the database of an index, on its pool of reading connections: each call is one snapshot.
///
/// `IdentifierIndex` documents the calls.
struct IndexReader: Sendable {
    let store: SQLiteStore
    let identity: IndexIdentity

    // MARK: - For following the catalog

    func cursor() throws -> CatalogCursor? { try store.read { try CatalogCursor($0) } }

    func tally() throws -> Tally { try store.read { try Tally($0) } }

    func count() throws -> Int { try store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM item") ?? 0 } }

    func meanQuantisationError() throws -> Double? {
        try store.read {
            try Double.fetchOne($0, sql: "SELECT avg(quantisation_error) FROM item WHERE codes IS NOT NULL")
        }
    }

    func known(after id: ItemID?, limit: Int) throws -> KnownItems {
        try store.read { database in
            let statement = try PreparedStatement(
                database, "SELECT id, digest FROM item WHERE id > ? ORDER BY id LIMIT ?")
            // No id is empty, so every id is after the empty one.
            statement.bind(1, id?.bytes ?? [])
            statement.bind(2, limit)
            var page = KnownItems()
            while try statement.step() {
                page.append(digest: statement.digest(1)) { statement.append(0, to: &$0) }
            }
            return page
        }
    }

    func digests(of ids: [ItemID]) throws -> [Digest?] {
        try store.read { database in
            let statement = try PreparedStatement(database, "SELECT digest FROM item WHERE id = ?")
            return try ids.map { id in
                statement.bind(1, id.bytes)
                defer { statement.reset() }
                return try statement.step() ? statement.digest(0) : nil
            }
        }
    }

    // MARK: - Items and identifiers

    func items(_ ids: [ItemID]) throws -> [ItemLookup] {
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
                        status: ItemStatus(column: statement.integer(2)), quantisationError: statement.double(3),
                        margin: statement.double(4), since: statement.integer(5)))
            }
        }
    }

    func owners(of identifiers: [Identifier]) throws -> [IdentifierOwner] {
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
                return try tombstone.step() ? .deleted : .unassigned
            }
        }
    }

    func dump() throws -> IdentifierDump {
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

    // MARK: - The trie

    func successors(of prefixes: [Identifier]) throws -> [Successors] {
        try store.read { database in
            let inner = try PreparedStatement(
                database, "SELECT code, items FROM trie_node WHERE prefix = ? ORDER BY code")
            let leaves = try PreparedStatement(
                database, "SELECT codes FROM \(identity.identifierTable) WHERE codes BETWEEN ? AND ? ORDER BY codes")
            let leaf = try PreparedStatement(
                database, "SELECT count(*) FROM \(identity.identifierTable) WHERE codes = ?")
            return try prefixes.map { prefix in
                var found = Successors(codes: [], items: 0)
                if prefix.count < identity.countedLength {
                    inner.bind(1, prefix.bytes)
                    while try inner.step() {
                        found.codes.append(Code(truncatingIfNeeded: inner.integer(0)))
                        found.items += inner.integer(1)
                    }
                } else if prefix.count < identity.identifierLength {
                    let (first, last) = range(below: prefix)
                    leaves.bind(1, first)
                    leaves.bind(2, last)
                    while try leaves.step() {
                        guard let codes = leaves.identifier(0) else { continue }
                        // Items with the same next code follow one another.
                        if found.codes.last != codes[prefix.count] { found.codes.append(codes[prefix.count]) }
                        found.items += 1
                    }
                } else if prefix.count == identity.identifierLength {
                    leaf.bind(1, prefix)
                    found.items = try leaf.step() ? leaf.integer(0) : 0
                    leaf.reset()
                }
                return found
            }
        }
    }

    func identifiers(
        below prefix: Identifier, after: Identifier?, limit: Int
    ) throws -> [(codes: Identifier, items: [ItemID])] {
        guard prefix.count <= identity.identifierLength else { return [] }
        let (first, last) = range(below: prefix)
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

    /// The first and the last identifier that a prefix may have below it.
    private func range(below prefix: Identifier) -> (first: Identifier, last: Identifier) {
        let missing = identity.identifierLength - prefix.count
        return (
            prefix.appending(contentsOf: repeatElement(0, count: missing)),
            prefix.appending(contentsOf: repeatElement(.max, count: missing))
        )
    }

    // MARK: - Collisions and quarantine

    func collisions(after id: ItemID?, limit: Int) throws -> [CollisionRow] {
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

    func quarantine(after id: ItemID?, limit: Int) throws -> [QuarantineRow] {
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
}
