package import Core

/// How the collision of an item was resolved.
package enum CollisionRule: String, Sendable {
    /// The free code of the last level nearest to the item's residual.
    case nearestFree = "nearest_free"
    /// The last level was full: the next-nearest code of a level above, and the nearest free codes below it.
    case nextPrefix = "next_prefix"
    /// The codes that balancing the whole catalog gave the item.
    case balanced
    /// Policy `suffix`: the smallest free code after the natural ones.
    case suffix
    /// Policy `share`: the identifier of the items that have it already.
    case shared
    /// The identifier that the item left earlier.
    case returned
}

/// An item as the frozen tokenizer encoded it.
package struct EncodedItem: Sendable {
    /// The item.
    package var id: ItemID
    /// Digest of the record that was encoded.
    package var digest: Digest
    /// Nearest code at every level.
    package var natural: Identifier
    /// Squared length of the residual after the last level.
    package var quantisationError: Float
    /// Smallest difference, over the levels, between the distances to the nearest and second-nearest code.
    package var margin: Float
    /// The codes that balancing the whole catalog gave it, where they differ: policy `reassign` prefers them.
    package var balanced: Identifier?

    /// An encoded item without balanced codes.
    package init(id: ItemID, digest: Digest, natural: Identifier, quantisationError: Float, margin: Float) {
        self.id = id
        self.digest = digest
        self.natural = natural
        self.quantisationError = quantisationError
        self.margin = margin
    }
}

/// A record that cannot be encoded.
package struct RejectedItem: Sendable {
    /// The item.
    package var id: ItemID
    /// Digest of the record.
    package var digest: Digest
    /// Stable name of the reason.
    package var reason: String
    /// The reason as a sentence.
    package var detail: String

    /// A rejected item.
    package init(id: ItemID, digest: Digest, reason: String, detail: String) {
        self.id = id
        self.digest = digest
        self.reason = reason
        self.detail = detail
    }
}

/// The work of one transaction: everything in it, and the cursor, becomes visible at once.
package struct Chunk: Sendable {
    /// Items that left the catalog. Applied first.
    package var deleted: [ItemID] = []
    /// Items to assign or update, each at most once.
    package var encoded: [EncodedItem] = []
    /// Records to quarantine. Applied before the encoded items.
    package var rejected: [RejectedItem] = []
    /// How far the index follows the catalog after this chunk; set on the last chunk of a change set.
    package var cursor: CatalogCursor?

    /// An empty chunk.
    package init() {}
}

/// How far an item of a chunk is from every code of a level, below a prefix of codes; asked about collisions only.
package protocol ItemDistances {
    /// Squared distances to the codes of level `prefix.count` from the residual that `prefix` leaves of the latent
    /// embedding of item `row` of `Chunk.encoded`: (codes).
    func distances(row: Int, below prefix: Identifier, into result: inout [Float]) throws
}

/// How much an index holds.
package struct Tally: Sendable, Hashable {
    /// Items with an identifier: live, stale, or quarantined after they had one.
    package var live = 0
    /// Items whose embedding has changed and would now get other codes.
    package var stale = 0
    /// Records that cannot be encoded.
    package var quarantined = 0
    /// Items whose natural codes another item had.
    package var collisions = 0
    /// Identifiers that items left: those of deleted items, and earlier ones of edited items.
    package var tombstones = 0
}

/// The row of an item.
package struct ItemRow: Sendable {
    /// Its identifier; nil if it never had one.
    package var codes: Identifier?
    /// The codes that the tokenizer gives its present embedding.
    package var natural: Identifier?
    /// `live`, `stale` or `quarantined`.
    package var status: ItemStatus
    /// Squared length of the residual after the last level.
    package var quantisationError: Double
    /// Smallest difference, over the levels, between the distances to the nearest and second-nearest code.
    package var margin: Double
    /// When the row was last written, milliseconds since 1970.
    package var since: Int
}

extension ItemStatus {
    /// Reads the column `status` of an item's row.
    init(column: Int) {
        switch column {
        case 1: self = .stale
        case 2: self = .quarantined
        default: self = .live
        }
    }

    /// The number in the column `status`.
    ///
    /// - Precondition: `live`, `stale` or `quarantined`; items in another state have no row.
    var column: Int {
        switch self {
        case .live: return 0
        case .stale: return 1
        case .quarantined: return 2
        case .deleted, .unknown: preconditionFailure("an item in this state has no row")
        }
    }
}

/// What an index knows of an id.
package enum ItemLookup: Sendable {
    /// It is in the catalog.
    case known(ItemRow)
    /// It left the catalog; its identifier is kept for it.
    case deleted
    /// It was never there, or never had an identifier.
    case unknown

    /// The row of an item that is in the catalog.
    package var row: ItemRow? {
        if case .known(let row) = self { row } else { nil }
    }

    /// The state of the item.
    package var status: ItemStatus {
        switch self {
        case .known(let row): row.status
        case .deleted: .deleted
        case .unknown: .unknown
        }
    }
}

/// Which items have an identifier.
package enum IdentifierOwner: Sendable, Equatable {
    /// One item; under policy `share` those of the bucket, in key order.
    case items([ItemID])
    /// No live item; a deleted item had it, or an edited item had it before.
    case deleted
    /// No item has or had it.
    case unassigned
}

/// A row of the table of collisions.
package struct CollisionRow: Sendable {
    /// The item.
    package var item: ItemID
    /// Its natural codes when the collision was resolved, which another item had.
    package var bucket: Identifier
    /// Its natural codes now.
    package var natural: Identifier
    /// The codes it got.
    package var codes: Identifier
    /// How many nearer codes, smaller suffixes or earlier owners there were.
    package var rank: Int
    /// A `CollisionRule`.
    package var rule: String
    /// When it was resolved, milliseconds since 1970.
    package var since: Int
}

/// A row of the table of quarantined records.
package struct QuarantineRow: Sendable {
    /// The item.
    package var item: ItemID
    /// Stable name of the reason.
    package var reason: String
    /// The reason as a sentence.
    package var detail: String
    /// When it was quarantined, milliseconds since 1970.
    package var since: Int
}

/// What follows a prefix.
package struct Successors: Sendable {
    /// Codes that may come next, ascending.
    package var codes: [Code]
    /// Live items below the prefix.
    package var items: Int
}
