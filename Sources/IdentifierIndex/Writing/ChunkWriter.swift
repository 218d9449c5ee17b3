import GRDB
import SQLiteStore
import Core

/// Applies a chunk inside a write transaction: rules 2 to 6 of assignment.
///
/// Items are decided upon one after another, as if each were alone. The identifiers that they get are remembered and
/// written at the end in the order of their table, for they fall all over it.
struct ChunkWriter<Distances: ItemDistances> {
    let database: Database
    let identity: IndexIdentity
    let rules: AssignmentRules
    let distances: Distances
    /// Milliseconds since 1970, the same for every row of the chunk.
    let now: Int
    /// Tombstones from this time on keep others away.
    let blockingSince: Int

    let selectItem: PreparedStatement
    let upsertItem: PreparedStatement

    /// The largest id that the index held before the chunk: what comes after it is new.
    let lastKnown: ItemID?

    /// Identifiers given in this chunk, by row of `Chunk.encoded`, in the order of their giving.
    var given: [(codes: Identifier, row: Int)] = []
    /// The same, where they are unique.
    var taken: Set<Identifier> = []
    /// Last codes given in this chunk to items with other natural codes, by the codes before them (policy `reassign`).
    var moved: [Identifier: [Code]] = [:]
    /// Which natural codes were somebody's before the chunk.
    var occupied: OccupiedCodes
    /// Prefixes of all levels but the last below which nothing is free.
    var full: Set<Identifier> = []
    /// Free suffixes, or numbers of owners, of buckets that were looked at.
    var suffixes: [Identifier: FreeSuffixes] = [:]
    var owners: [Identifier: Int] = [:]
    /// What is added to the trie's counts at the end of the chunk beside what is given, by path (prefix and code).
    var nodes: [Identifier: Int] = [:]
    /// What is done to identifiers, for the journal and the trie in memory.
    var record = AssignmentRecord()
    var tally: Tally
    let before: Tally

    var levels: Int { identity.levels }

    init(
        _ database: Database, identity: IndexIdentity, rules: AssignmentRules, distances: Distances, now: Int
    ) throws {
        self.database = database
        self.identity = identity
        self.rules = rules
        self.distances = distances
        self.now = now
        blockingSince = rules.tombstoneReuse.map { now - $0 } ?? .min
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
        let last = try PreparedStatement(database, "SELECT id FROM item ORDER BY id DESC LIMIT 1")
        lastKnown = try last.step() ? ItemID(unchecked: last.bytes(0)) : nil
        last.reset()
        tally = try Tally(database)
        before = tally
        occupied = try OccupiedCodes(database, identity: identity, blockingSince: blockingSince)
    }

    mutating func apply(_ chunk: Chunk) throws {
        for id in chunk.deleted { try delete(id) }
        for rejected in chunk.rejected { try quarantine(rejected) }
        try Self.checkDistinct(chunk.encoded)
        try occupied.survey(chunk.encoded, against: tally)
        for (row, item) in chunk.encoded.enumerated() {
            // A chunk takes seconds at most, and may be cut short: nothing of it is applied then.
            if row % 4_096 == 0 { try Task.checkCancellation() }
            try encoded(item, row: row)
        }
        given.sort { $0.codes < $1.codes }
        try writeIdentifiers(of: chunk.encoded)
        try writeNodes()
        try tally.write(database, replacing: before)
        if let cursor = chunk.cursor { try write(cursor) }
    }

    /// What is decided about an item is written at the end, so an item must not come twice.
    private static func checkDistinct(_ items: [EncodedItem]) throws {
        if zip(items, items.dropFirst()).allSatisfy({ $0.id < $1.id }) { return }
        guard Set(items.map(\.id)).count == items.count else {
            throw IndexError(
                .inconsistent, "An item is twice in one chunk.", remedy: "This is a defect; please report it.")
        }
    }

    // MARK: - Encoded items

    private mutating func encoded(_ item: EncodedItem, row: Int) throws {
        guard item.natural.count == levels else {
            throw IndexError(
                .wrongLength,
                "Item \(item.id.text) was encoded to \(item.natural.count) codes; the index has \(levels) levels.",
                remedy: "This is a defect; please report it.")
        }
        let existing = try existing(item.id)
        if let existing, existing.status == .quarantined { try leaveQuarantine(item.id) }
        if let existing, let codes = existing.codes {
            if existing.status == .stale { tally.stale -= 1 }
            return try edited(item, row: row, codes: codes, before: existing.natural)
        }
        let left = try tombstones(of: item.id)
        if let last = left.first(where: \.isLast) {
            // It was deleted and has come back: its identifier was kept for it.
            if last.bucket == item.natural || rules.onEdit == .keep {
                try give(try place(at: last), to: item, row: row)
                return try writeHistory(item.id, old: nil, new: last.codes, why: "returned")
            }
            // It is one of those that an edit left behind from now on.
            try run("UPDATE tombstone SET deleted = 0 WHERE item = ?", item.id.bytes)
        }
        guard let place = try place(for: item, row: row, left: left) else {
            // One item that has no place must not keep the others of its chunk from theirs.
            return try quarantine(
                RejectedItem(
                    id: item.id, digest: item.digest, reason: "no_free_identifier",
                    detail: identity.policy == .suffix
                        ? "All 65536 identifiers of the bucket \(item.natural) are taken."
                        : "Every one of the \(identity.codesPerLevel)^\(levels) identifiers is taken."))
        }
        try give(place, to: item, row: row)
        if let last = left.first(where: \.isLast) {
            try writeHistory(item.id, old: last.codes, new: place.codes, why: "reassigned")
        } else if place.wasLeft {
            try writeHistory(item.id, old: nil, new: place.codes, why: "returned")
        }
    }

    /// Rule 5: an edited item keeps its identifier, and is stale where its vector would now get other codes; or it gets
    /// a new one.
    private mutating func edited(_ item: EncodedItem, row: Int, codes: Identifier, before: Identifier?) throws {
        let bucket = try bucket(of: item.id, codes: codes)
        var status = ItemStanding.live
        if item.natural != bucket {
            // Nobody knows whether an item was edited whose index was made again: it keeps what it had.
            if rules.onEdit == .keep || before == nil {
                status = .stale
            } else if item.natural == codes {
                // What it was given for want of its natural codes are its natural codes now.
                try forgetCollision(of: item.id)
                record.explained(codes, of: item.id)
            } else if let place = try place(for: item, row: row, left: try tombstones(of: item.id)) {
                try leave(codes, bucket: bucket, item: item.id, isDeleted: false)
                try writeHistory(item.id, old: codes, new: place.codes, why: "reassigned")
                return try give(place, to: item, row: row)
            } else {
                status = .stale
            }
        }
        if status == .stale { tally.stale += 1 }
        if before != nil, before != item.natural { try writeHistory(item.id, old: codes, new: codes, why: "edited") }
        try write(item, codes: codes, status: status)
    }

    /// Gives an item its identifier: everything but the identifier's own row, which is written at the end.
    private mutating func give(_ place: Assignment, to item: EncodedItem, row: Int) throws {
        if place.wasLeft {
            try forgetTombstone(place.codes, of: item.id)
        } else if rules.tombstoneReuse != nil, tally.tombstones > 0, identity.policy != .share {
            try giveAway(place.codes, to: item.id)
        }
        if identity.policy == .share {
            owners[place.codes] = try owners(of: place.codes) + 1
        } else {
            guard taken.insert(place.codes).inserted else { throw Self.taken(place.codes) }
            if identity.policy == .reassign, place.codes != item.natural {
                moved[place.codes.prefix(levels - 1), default: []].append(place.codes[levels - 1])
            }
        }
        given.append((place.codes, row))
        record.given(
            place.codes, to: item.id, bucket: place.bucket,
            collision: place.rule.map { (place.rank, $0.rawValue) })
        if let rule = place.rule {
            try writeCollision(item.id, bucket: place.bucket, codes: place.codes, rank: place.rank, rule: rule)
        }
        let status: ItemStanding = item.natural == place.bucket ? .live : .stale
        if status == .stale { tally.stale += 1 }
        tally.live += 1
        try write(item, codes: place.codes, status: status)
    }

    private func write(_ item: EncodedItem, codes: Identifier, status: ItemStanding) throws {
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
        guard let lastKnown, id <= lastKnown else { return nil }
        selectItem.bind(1, id.bytes)
        defer { selectItem.reset() }
        guard try selectItem.step() else { return nil }
        return (
            selectItem.identifier(0), selectItem.identifier(1), ItemStanding(rawValue: selectItem.integer(2)) ?? .live
        )
    }

    /// The natural codes that an item had when it got its identifier.
    func bucket(of id: ItemID, codes: Identifier) throws -> Identifier {
        guard identity.policy == .reassign else { return codes.prefix(levels) }
        let statement = try PreparedStatement(database, "SELECT bucket FROM collision WHERE item = ?")
        statement.bind(1, id.bytes)
        defer { statement.reset() }
        return try statement.step() ? statement.identifier(0) ?? codes : codes
    }

    static func taken(_ codes: Identifier) -> IndexError {
        IndexError(
            .inconsistent, "The codes \(codes) were free and are taken.",
            remedy: "The index is damaged: publish the model again to build a new one, and report this.")
    }
}
