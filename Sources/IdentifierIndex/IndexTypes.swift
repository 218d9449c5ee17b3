package import Core

/// Where an item stands.
package enum ItemStanding: Int, Sendable {
    /// It has an identifier, and its vector is the one that got it.
    case live = 0
    /// It has an identifier that its changed vector would not get any more.
    case stale = 1
    /// Its record cannot be encoded; an identifier that it had before stays.
    case quarantined = 2
}

/// How an item whose natural codes another item had got its identifier.
package enum CollisionRule: String, Sendable {
    /// The free code of the last level nearest to the item's residual.
    case nearestFree = "nearest_free"
    /// The last level was full: the next-nearest code of a level above, and the nearest free codes below it.
    case nextPrefix = "next_prefix"
    /// The codes that balancing the whole catalog gave the item.
    case balanced
    /// Policy `suffix`: the smallest free code after the natural ones.
    case suffix
    /// Policy `share`: the identifier of those who have it already.
    case shared
    /// The identifier that the item left earlier.
    case returned
}

/// An item as the frozen tokenizer encoded it.
package struct EncodedItem: Sendable {
    package var id: ItemID
    /// Digest of the record that was encoded.
    package var digest: Digest
    /// Nearest code at every level.
    package var natural: Identifier
    /// Squared length of what the last level leaves.
    package var quantisationError: Float
    /// Smallest gap, over the levels, between the distances to the nearest and second-nearest code.
    package var margin: Float
    /// The codes that balancing the whole catalog gave it, where they are others: policy `reassign` prefers them.
    package var balanced: Identifier?

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
    package var id: ItemID
    package var digest: Digest
    /// Stable name of the reason, and a sentence.
    package var reason: String
    package var detail: String

    package init(id: ItemID, digest: Digest, reason: String, detail: String) {
        self.id = id
        self.digest = digest
        self.reason = reason
        self.detail = detail
    }
}

/// One transaction's worth of work: everything in it, and the cursor, becomes true at once.
package struct Chunk: Sendable {
    package var deleted: [ItemID] = []
    package var encoded: [EncodedItem] = []
    package var rejected: [RejectedItem] = []
    /// Set on the last chunk of a change set: how far the index answers from then on.
    package var cursor: CatalogCursor?

    package init() {}
}

/// How far an item of a chunk is from every code of a level, below a prefix of codes; asked for collisions only.
package protocol ItemDistances {
    /// Squared distances to the codes of level `prefix.count` from what `prefix` leaves of the latent embedding of item
    /// `row` of `Chunk.encoded`.
    func distances(row: Int, below prefix: Identifier, into result: inout [Float]) throws
}

/// How many of what an index holds.
package struct Tally: Sendable, Hashable {
    /// Items with an identifier: live, stale, or quarantined after they had one.
    package var live = 0
    /// Items whose vector changed so that it would get other codes.
    package var stale = 0
    /// Records that cannot be encoded.
    package var quarantined = 0
    /// Items whose natural codes another item had.
    package var collisions = 0
    /// Identifiers that items left: those of deleted items, and those that edited items had before.
    package var tombstones = 0
}

/// What an index says of an item.
package struct ItemRow: Sendable {
    /// Its identifier; nil if it never had one.
    package var codes: Identifier?
    /// The codes its vector gets by itself now.
    package var natural: Identifier?
    package var status: ItemStanding
    package var quantisationError: Double
    package var margin: Double
    /// Milliseconds since 1970.
    package var since: Int
}

/// What an index knows of an id.
package enum ItemLookup: Sendable {
    /// It is in the catalog.
    case known(ItemRow)
    /// It left the catalog; its identifier is kept.
    case deleted
    /// It was never there, or never had an identifier.
    case unknown

    /// The row of an item that is in the catalog.
    package var row: ItemRow? {
        if case .known(let row) = self { row } else { nil }
    }
}

/// Whose an identifier is.
package enum IdentifierOwner: Sendable, Equatable {
    /// One item; under policy `share` those of the bucket, in key order.
    case items([ItemID])
    /// A deleted item's, or one that an edited item had before.
    case deleted
    case nobody
}

/// A row of the collision table.
package struct CollisionRow: Sendable {
    package var item: ItemID
    /// The natural codes that were taken when it was decided; the item's natural codes now.
    package var bucket: Identifier
    package var natural: Identifier
    /// The codes given.
    package var codes: Identifier
    package var rank: Int
    package var rule: String
    package var since: Int
}

/// A row of the quarantine table.
package struct QuarantineRow: Sendable {
    package var item: ItemID
    package var reason: String
    package var detail: String
    package var since: Int
}

/// What lies below a prefix.
package struct TrieChildren: Sendable {
    /// Codes that can come next, ascending.
    package var next: [Code]
    /// Live items below the prefix.
    package var items: Int
}
