import Core

/// Decides which identifier each item of a chunk gets: the rules of assignment, without a database.
///
/// Items are decided one after another, as if each came alone; what is decided for one is written before the next is
/// decided. `ChunkPlan+Policies.swift` resolves collisions.
struct ChunkPlan {
    let identity: IndexIdentity
    let rules: AssignmentRules
    /// Asked about collisions only.
    let distances: any ItemDistances
    /// The natural and the balanced codes of the chunk's items, each once, ascending.
    let wanted: [Identifier]

    /// Identifiers given in this chunk, by row of `Chunk.encoded`, in the order of giving.
    private(set) var given: [(codes: Identifier, row: Int)] = []
    /// The same as a set, where they are unique.
    private(set) var taken: Set<Identifier> = []
    /// The last codes of those given to items with other natural codes, by the codes before them (policy `reassign`).
    private(set) var moved: [Identifier: [Code]] = [:]
    /// Prefixes of all codes but the last below which nothing is free.
    var full: Set<Identifier> = []
    /// The free suffixes of buckets (policy `suffix`).
    var suffixes: [Identifier: FreeSuffixes] = [:]
    /// How many items share an identifier (policy `share`).
    var owners: [Identifier: Int] = [:]

    var levels: Int { identity.levels }

    /// - Throws: `index.inconsistent` if an item occurs twice: what is decided for it the first time would be overwritten.
    init(_ items: [EncodedItem], identity: IndexIdentity, rules: AssignmentRules, distances: any ItemDistances) throws {
        self.identity = identity
        self.rules = rules
        self.distances = distances
        wanted = Set(items.map(\.natural) + items.compactMap(\.balanced)).sorted()
        if zip(items, items.dropFirst()).allSatisfy({ $0.id < $1.id }) { return }
        guard Set(items.map(\.id)).count == items.count else {
            throw IndexError(
                .inconsistent, "An item is twice in one chunk.", remedy: "This is a defect; please report it.")
        }
    }

    /// Decides about item `row` of the chunk.
    ///
    /// - Parameter before: the item's row, if there is one.
    /// - Throws: `index.wrong_length`; what `facts` and the distances throw.
    mutating func decide(
        _ item: EncodedItem, row: Int, before: StoredItem?, facts: some AssignmentFacts
    ) throws -> ItemDecision {
        guard item.natural.count == levels else {
            throw IndexError(
                .wrongLength,
                "Item \(item.id.text) was encoded to \(item.natural.count) codes; the index has \(levels) levels.",
                remedy: "This is a defect; please report it.")
        }
        if let codes = before?.codes {
            return try edited(item, row: row, codes: codes, before: before?.natural, facts: facts)
        }
        return try arrived(item, row: row, facts: facts)
    }

    /// An item without an identifier: new, returned after it was deleted, or fixed after it was quarantined.
    private mutating func arrived(
        _ item: EncodedItem, row: Int, facts: some AssignmentFacts
    ) throws -> ItemDecision {
        let left = try facts.tombstones(of: item.id)
        let last = left.first(where: \.isLast)
        if let last, last.bucket == item.natural || rules.onEdit == .keep {
            // It was deleted and has come back: its identifier was kept for it.
            let outcome = try give(try assignment(of: last, facts: facts), to: item, row: row, facts: facts)
            return ItemDecision(outcome: outcome, event: .init(old: nil, new: last.codes, why: .returned))
        }
        var decision = ItemDecision(outcome: .noneFree, demoted: last)
        guard let found = try assignment(for: item, row: row, left: left, facts: facts) else { return decision }
        decision.outcome = try give(found, to: item, row: row, facts: facts)
        if let last {
            decision.event = .init(old: last.codes, new: found.codes, why: .reassigned)
        } else if found.wasLeft {
            decision.event = .init(old: nil, new: found.codes, why: .returned)
        }
        return decision
    }

    /// An edited item keeps its identifier, and is stale where its embedding would now get other codes; or it gets a new
    /// one.
    private mutating func edited(
        _ item: EncodedItem, row: Int, codes: Identifier, before: Identifier?, facts: some AssignmentFacts
    ) throws -> ItemDecision {
        let bucket = try facts.bucket(of: item.id, codes: codes)
        var status = ItemStatus.live
        var isExplained = false
        if item.natural != bucket {
            if rules.onEdit == .keep || before == nil {
                // After a rebuild it is unknown whether the item was edited: it keeps what it had.
                status = .stale
            } else if item.natural == codes {
                isExplained = true
            } else if let found = try assignment(
                for: item, row: row, left: try facts.tombstones(of: item.id), facts: facts)
            {
                try leave(codes, facts: facts)
                return ItemDecision(
                    outcome: try give(found, to: item, row: row, facts: facts),
                    left: .init(codes: codes, bucket: bucket),
                    event: .init(old: codes, new: found.codes, why: .reassigned))
            } else {
                status = .stale
            }
        }
        let wasEdited = before != nil && before != item.natural
        return ItemDecision(
            outcome: .keeps(codes, status, isExplained: isExplained),
            event: wasEdited ? .init(old: codes, new: codes, why: .edited) : nil)
    }

    /// An item is deleted.
    ///
    /// - Returns: the identifier that becomes a tombstone; nil if the item had none.
    mutating func delete(
        _ id: ItemID, before: StoredItem, facts: some AssignmentFacts
    ) throws -> ItemDecision.Left? {
        guard let codes = before.codes else { return nil }
        let bucket = try facts.bucket(of: id, codes: codes)
        try leave(codes, facts: facts)
        return .init(codes: codes, bucket: bucket)
    }

    /// - Precondition: the item got the identifier in an earlier chunk.
    private mutating func leave(_ codes: Identifier, facts: some AssignmentFacts) throws {
        if identity.policy == .share { owners[codes] = try owners(of: codes, facts: facts) - 1 }
    }

    /// Takes an identifier for an item.
    private mutating func give(
        _ found: Assignment, to item: EncodedItem, row: Int, facts: some AssignmentFacts
    ) throws -> ItemDecision.Outcome {
        if identity.policy == .share {
            owners[found.codes] = try owners(of: found.codes, facts: facts) + 1
        } else {
            guard taken.insert(found.codes).inserted else { throw IndexError.alreadyTaken(found.codes) }
            if identity.policy == .reassign, found.codes != item.natural {
                moved[found.codes.prefix(levels - 1), default: []].append(found.codes[levels - 1])
            }
        }
        given.append((found.codes, row))
        return .gets(found, item.natural == found.bucket ? .live : .stale)
    }

    /// The given identifiers, in the order of their table.
    ///
    /// - Complexity: O(n log n).
    mutating func sortGiven() { given.sort { $0.codes < $1.codes } }
}

extension IndexError {
    /// Codes that were found free, and are not.
    static func alreadyTaken(_ codes: Identifier) -> IndexError {
        IndexError(
            .inconsistent, "The codes \(codes) were free and are taken.",
            remedy: "The index is damaged: publish the model again to build a new one, and report this.")
    }
}
