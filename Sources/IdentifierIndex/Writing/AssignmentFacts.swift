import Core

/// What an index holds, as far as the decisions of a chunk depend on it. `ChunkRows` reads it from the database.
///
/// Except where it says otherwise, an answer includes what was written for earlier items of the chunk. The identifiers that
/// the chunk gives are written at its end: `ChunkPlan` remembers them itself.
protocol AssignmentFacts {
    /// The row of an item; nil if the index does not know it.
    func item(_ id: ItemID) throws -> StoredItem?

    /// The natural codes for which an item got its identifier `codes`.
    func bucket(of id: ItemID, codes: Identifier) throws -> Identifier

    /// The identifiers that an item left, the latest first.
    func tombstones(of id: ItemID) throws -> [Tombstone]

    /// Whether an item had these natural or balanced codes before the chunk, or a tombstone blocks them. Under policy
    /// `suffix`: whether an identifier begins with them.
    func isOccupied(_ codes: Identifier) throws -> Bool

    /// The codes after a prefix of all codes but the last that items had before the chunk or that tombstones block,
    /// ascending.
    func usedCodes(below prefix: Identifier) throws -> [Code]

    /// How many items shared an identifier before the chunk, less those that left it since (policy `share`).
    func owners(of codes: Identifier) throws -> Int
}

/// The row of an item before it is changed.
struct StoredItem: Equatable {
    /// Its identifier; nil if it never had one.
    var codes: Identifier?
    /// The natural codes of the embedding that it had last; nil if they are unknown because the index was rebuilt.
    var natural: Identifier?
    var status: ItemStatus
}

/// An identifier that an item left.
struct Tombstone: Equatable {
    var codes: Identifier
    /// The natural codes for which the item got it.
    var bucket: Identifier
    /// Whether the item had it when it was deleted; otherwise the item left it when it was edited.
    var isLast: Bool
    /// When the item left it, milliseconds since 1970.
    var since = 0
}

/// An identifier for an item.
struct Assignment: Equatable {
    var codes: Identifier
    /// The natural codes for which it is assigned.
    var bucket: Identifier
    /// How many nearer codes, smaller suffixes or earlier owners there are.
    var rank = 0
    /// How the collision was resolved; nil if there was none.
    var rule: CollisionRule?
    /// Whether it is an identifier that the item itself left.
    var wasLeft = false
}

/// What is to be done for an encoded item.
struct ItemDecision: Equatable {
    enum Outcome: Equatable {
        /// The item keeps its identifier.
        ///
        /// - Parameter isExplained: its natural codes have become those of its identifier, so its collision row goes.
        case keeps(Identifier, ItemStatus, isExplained: Bool)
        /// It gets an identifier.
        case gets(Assignment, ItemStatus)
        /// There is no free identifier for it: it is quarantined.
        case noneFree
    }

    /// An identifier that becomes a tombstone.
    struct Left: Equatable {
        var codes: Identifier
        /// The natural codes for which the item got it.
        var bucket: Identifier
    }

    /// What happened to the identifier of an item.
    enum Why: String {
        case edited, deleted, returned, reassigned
        /// Its tombstone was old enough, and another item got it.
        case givenAway = "given_away"
    }

    /// A row of the history of an item.
    struct Event: Equatable {
        var old: Identifier?
        var new: Identifier?
        var why: Why
    }

    var outcome: Outcome
    /// The identifier that it leaves for the new one.
    var left: Left?
    /// The identifier that it had when it was deleted, and that now counts as one that it left when it was edited.
    var demoted: Tombstone?
    var event: Event?
}
