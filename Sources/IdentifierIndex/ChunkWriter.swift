internal import GRDB
internal import SQLiteStore
internal import Vocabulary

/// Applies a chunk inside a write transaction: rules 2 to 6 of assignment, policy `reassign`.
struct ChunkWriter<Distances: ItemDistances> {
    let database: Database
    let levels: Int
    let codesPerLevel: Int
    let distances: Distances
    /// Milliseconds since 1970, the same for every row of the chunk.
    let now: Int

    let selectItem: PreparedStatement
    let upsertItem: PreparedStatement
    let insertIdentifier: PreparedStatement
    let selectTombstone: PreparedStatement
    let selectNode: PreparedStatement

    /// What is added to the trie's counts at the end of the chunk, by path (prefix and code).
    var nodes: [Identifier: Int] = [:]
    var tally: Tally
    let before: Tally

    init(_ database: Database, levels: Int, codesPerLevel: Int, distances: Distances, now: Int) throws {
        self.database = database
        self.levels = levels
        self.codesPerLevel = codesPerLevel
        self.distances = distances
        self.now = now
        selectItem = try PreparedStatement(
            database, "SELECT codes, natural, status FROM item WHERE id = ?")
        upsertItem = try PreparedStatement(
            database,
            """
            INSERT INTO item (id, digest, codes, natural, quantisation_error, margin, status, since)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, codes = excluded.codes, natural = excluded.natural,
                quantisation_error = excluded.quantisation_error, margin = excluded.margin, status = excluded.status,
                since = excluded.since
            """)
        insertIdentifier = try PreparedStatement(
            database, "INSERT OR IGNORE INTO identifier (codes, item) VALUES (?, ?)")
        selectTombstone = try PreparedStatement(database, "SELECT 1 FROM tombstone WHERE codes = ?")
        selectNode = try PreparedStatement(database, "SELECT items FROM trie_node WHERE prefix = ? AND code = ?")
        tally = try Tally(database)
        before = tally
    }

    mutating func apply(_ chunk: Chunk) throws {
        for id in chunk.deleted { try delete(id) }
        for rejected in chunk.rejected { try quarantine(rejected) }
        for (row, item) in chunk.encoded.enumerated() {
            // A chunk takes seconds at most, and may be cut short: nothing of it is applied then.
            if row % 4_096 == 0 { try Task.checkCancellation() }
            try encoded(item, row: row)
        }
        try writeNodes()
        try tally.write(database, replacing: before)
        if let cursor = chunk.cursor { try write(cursor) }
    }

    // MARK: - Encoded items

    mutating func encoded(_ item: EncodedItem, row: Int) throws {
        guard item.natural.count == levels else {
            throw IndexError(
                .wrongLength,
                "Item \(item.id.text) was encoded to \(item.natural.count) codes; the index has \(levels) levels.",
                remedy: "This is a defect; please report it.")
        }
        let existing = try existing(item.id)
        if let existing, existing.status == .quarantined { try leaveQuarantine(item.id) }
        if let existing, let codes = existing.codes {
            // Rule 5: an edited item keeps its identifier, and is stale where its vector would now get other codes.
            let bucket = try bucket(of: item.id, codes: codes)
            let status: ItemStanding = item.natural == bucket ? .live : .stale
            if existing.status == .stale { tally.stale -= 1 }
            if status == .stale { tally.stale += 1 }
            if existing.natural != item.natural {
                try writeHistory(item.id, old: codes, new: codes, why: "edited")
            }
            try write(item, codes: codes, status: status)
            return
        }
        if tally.tombstones > 0, let (codes, bucket) = try takeTombstone(of: item.id) {
            // It was deleted and has come back: the identifier was kept for it.
            let status: ItemStanding = item.natural == bucket ? .live : .stale
            if status == .stale { tally.stale += 1 }
            insertIdentifier.bind(1, codes)
            insertIdentifier.bind(2, item.id.bytes)
            guard try insertIdentifier.run() == 1 else { throw taken(codes) }
            try writeHistory(item.id, old: nil, new: codes, why: "returned")
            if codes != bucket { try writeCollision(item.id, bucket: bucket, codes: codes, rank: 0, rule: "returned") }
            try settle(item, codes: codes, status: status)
            return
        }
        if try take(item.natural, for: item.id) {
            try settle(item, codes: item.natural, status: .live)
        } else {
            guard let (codes, rank, rule) = try freeCodes(near: item, row: row) else {
                // One item that has no place must not keep the others of its chunk from theirs.
                return try quarantine(
                    RejectedItem(
                        id: item.id, digest: item.digest, reason: "no_free_identifier",
                        detail: "Every one of the \(codesPerLevel)^\(levels) identifiers is taken."))
            }
            guard try take(codes, for: item.id) else { throw taken(codes) }
            try writeCollision(item.id, bucket: item.natural, codes: codes, rank: rank, rule: rule.rawValue)
            try settle(item, codes: codes, status: .live)
        }
    }

    /// Writes the row and the counts of an item that has just got an identifier.
    mutating func settle(_ item: EncodedItem, codes: Identifier, status: ItemStanding) throws {
        tally.live += 1
        count(codes, 1)
        try write(item, codes: codes, status: status)
    }

    /// Takes free codes; false if they are another item's or a tombstone.
    func take(_ codes: Identifier, for id: ItemID) throws -> Bool {
        if tally.tombstones > 0 {
            selectTombstone.bind(1, codes)
            let buried = try selectTombstone.step()
            selectTombstone.reset()
            if buried { return false }
        }
        insertIdentifier.bind(1, codes)
        insertIdentifier.bind(2, id.bytes)
        return try insertIdentifier.run() == 1
    }

    func write(_ item: EncodedItem, codes: Identifier, status: ItemStanding) throws {
        upsertItem.bind(1, item.id.bytes)
        upsertItem.bind(2, item.digest)
        upsertItem.bind(3, codes)
        upsertItem.bind(4, item.natural)
        upsertItem.bind(5, Double(item.quantisationError))
        upsertItem.bind(6, Double(item.margin))
        upsertItem.bind(7, status.rawValue)
        upsertItem.bind(8, now)
        try upsertItem.run()
    }

    func existing(_ id: ItemID) throws -> (codes: Identifier?, natural: Identifier?, status: ItemStanding)? {
        selectItem.bind(1, id.bytes)
        defer { selectItem.reset() }
        guard try selectItem.step() else { return nil }
        return (
            selectItem.identifier(0), selectItem.identifier(1), ItemStanding(rawValue: selectItem.integer(2)) ?? .live
        )
    }

    /// The natural codes that an item had when it got its identifier.
    func bucket(of id: ItemID, codes: Identifier) throws -> Identifier {
        let statement = try PreparedStatement(database, "SELECT bucket FROM collision WHERE item = ?")
        statement.bind(1, id.bytes)
        defer { statement.reset() }
        return try statement.step() ? statement.identifier(0) ?? codes : codes
    }

    // MARK: - Collisions

    /// The free codes that policy `reassign` gives: nearest at the last level, else below the next-nearest code above;
    /// nil if every identifier is taken.
    func freeCodes(
        near item: EncodedItem, row: Int
    ) throws -> (codes: Identifier, rank: Int, rule: CollisionRule)? {
        for depth in stride(from: levels - 1, through: 0, by: -1) {
            let prefix = item.natural.prefix(depth)
            if let (codes, rank) = try free(
                below: prefix, except: depth < levels - 1 ? item.natural[depth] : nil, row: row)
            {
                return (codes, rank, depth == levels - 1 ? .nearestFree : .nextPrefix)
            }
        }
        return nil
    }

    /// The nearest free codes below a prefix, and how many nearer codes of the prefix's level were passed over.
    ///
    /// Equally near codes are taken in their order.
    private func free(below prefix: Identifier, except: Code?, row: Int) throws -> (Identifier, Int)? {
        var distances: [Float] = []
        if prefix.count == levels - 1 {
            // Many items with one vector fill bucket after bucket: a full one must cost a look-up, not a scan.
            guard try liveItems(below: prefix) < codesPerLevel else { return nil }
            let taken = try takenCodes(below: prefix)
            try self.distances.distances(row: row, below: prefix, into: &distances)
            let free = distances.indices.filter { !taken.contains(Code(truncatingIfNeeded: $0)) }
            guard let best = free.min(by: { (distances[$0], $0) < (distances[$1], $1) }) else { return nil }
            let rank = distances.indices.count { (distances[$0], $0) < (distances[best], best) }
            return (prefix.appending(Code(truncatingIfNeeded: best)), rank)
        }
        try self.distances.distances(row: row, below: prefix, into: &distances)
        let order = distances.indices.sorted { (distances[$0], $0) < (distances[$1], $1) }
        for (rank, index) in order.enumerated() {
            let code = Code(truncatingIfNeeded: index)
            if code == except { continue }
            if let (codes, _) = try free(below: prefix.appending(code), except: nil, row: row) { return (codes, rank) }
        }
        return nil
    }

    /// Live items below a prefix of at least one code, those of this chunk included; of the empty prefix: none is full.
    func liveItems(below prefix: Identifier) throws -> Int {
        guard !prefix.isEmpty else { return 0 }
        selectNode.bind(1, prefix.prefix(prefix.count - 1))
        selectNode.bind(2, Int(prefix[prefix.count - 1]))
        defer { selectNode.reset() }
        return (try selectNode.step() ? selectNode.integer(0) : 0) + nodes[prefix, default: 0]
    }

    /// Codes of the last level below a prefix that live items or tombstones have.
    func takenCodes(below prefix: Identifier) throws -> Set<Code> {
        var taken: Set<Code> = []
        for table in tally.tombstones > 0 ? ["identifier", "tombstone"] : ["identifier"] {
            let statement = try PreparedStatement(
                database, "SELECT codes FROM \(table) WHERE codes BETWEEN ? AND ?")
            statement.bind(1, prefix.appending(0))
            statement.bind(2, prefix.appending(.max))
            while try statement.step() {
                if let codes = statement.identifier(0), codes.count == levels { taken.insert(codes[levels - 1]) }
            }
        }
        return taken
    }

    mutating func writeCollision(
        _ id: ItemID, bucket: Identifier, codes: Identifier, rank: Int, rule: String
    ) throws {
        let statement = try PreparedStatement(
            database, "INSERT INTO collision (item, bucket, codes, rank, rule, since) VALUES (?, ?, ?, ?, ?, ?)")
        statement.bind(1, id.bytes)
        statement.bind(2, bucket)
        statement.bind(3, codes)
        statement.bind(4, rank)
        statement.bind(5, text: rule)
        statement.bind(6, now)
        try statement.run()
        tally.collisions += 1
    }

    func taken(_ codes: Identifier) -> IndexError {
        IndexError(
            .inconsistent, "The codes \(codes) were free and are taken.",
            remedy: "The index is damaged: publish the model again to build a new one, and report this.")
    }

    // MARK: - Trie, cursor

    mutating func count(_ codes: Identifier, _ change: Int) {
        var path = Identifier()
        for level in 0..<(levels - 1) {
            path.append(codes[level])
            nodes[path, default: 0] += change
        }
    }

    /// Adds the chunk's changes to the trie's counts, in key order; nodes that become empty go.
    func writeNodes() throws {
        let add = try PreparedStatement(
            database,
            """
            INSERT INTO trie_node (prefix, code, items) VALUES (?, ?, ?)
            ON CONFLICT (prefix, code) DO UPDATE SET items = items + excluded.items
            """)
        let remove = try PreparedStatement(
            database, "DELETE FROM trie_node WHERE prefix = ? AND code = ? AND items = ?")
        let subtract = try PreparedStatement(
            database, "UPDATE trie_node SET items = items - ? WHERE prefix = ? AND code = ?")
        for (path, change) in nodes.sorted(by: { $0.key < $1.key }) where change != 0 {
            let prefix = path.prefix(path.count - 1)
            let code = Int(path[path.count - 1])
            if change > 0 {
                add.bind(1, prefix)
                add.bind(2, code)
                add.bind(3, change)
                try add.run()
                continue
            }
            remove.bind(1, prefix)
            remove.bind(2, code)
            remove.bind(3, -change)
            if try remove.run() == 1 { continue }
            subtract.bind(1, -change)
            subtract.bind(2, prefix)
            subtract.bind(3, code)
            try subtract.run()
        }
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
