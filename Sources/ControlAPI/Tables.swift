package import Core

/// An item that did not get its natural codes, and why.
package struct Collision: Codable, Sendable, Hashable {
    package var item: ItemID
    /// Its natural codes: those that the tokenizer computes from its embedding.
    package var natural: Identifier
    /// The identifier that it has.
    package var given: Identifier
    /// Position of the identifier in the item's order of preference; 0 is the natural one.
    package var rank: Int
    /// The rule that decided, such as `nearest_free`; Schema/control.openapi.yaml lists them.
    package var rule: String
    /// The natural codes that the colliding items share.
    package var bucket: Identifier
    package var since: Timestamp

    package init(
        item: ItemID, natural: Identifier, given: Identifier, rank: Int, rule: String, bucket: Identifier,
        since: Timestamp
    ) {
        self.item = item
        self.natural = natural
        self.given = given
        self.rank = rank
        self.rule = rule
        self.bucket = bucket
        self.since = since
    }
}

/// A page of collisions, in item order.
package struct CollisionsAnswer: Codable, Sendable, Hashable {
    package var generation: Int?
    package var collisions: [Collision]
    /// Whether more follow; request the next page with the last item as `after`.
    package var more: Bool

    package init(generation: Int?, collisions: [Collision], more: Bool = false) {
        self.generation = generation
        self.collisions = collisions
        self.more = more
    }
}

/// The deletions that were confirmed.
package struct ConfirmAnswer: Codable, Sendable, Hashable {
    /// The generations that apply them, and how many items each removes.
    package var confirmed: [HeldDeletions]

    /// Deletions of one generation that waited for confirmation.
    package struct HeldDeletions: Codable, Sendable, Hashable {
        package var generation: Int
        /// Items that are no longer in the catalog.
        package var deletions: Int
        /// Items in the index.
        package var items: Int

        package init(generation: Int, deletions: Int, items: Int) {
            self.generation = generation
            self.deletions = deletions
            self.items = items
        }
    }

    package init(confirmed: [HeldDeletions]) {
        self.confirmed = confirmed
    }
}

/// An item whose record cannot be encoded.
package struct Quarantined: Codable, Sendable, Hashable {
    package var item: ItemID
    /// What is wrong with its record.
    package var reason: String
    package var since: Timestamp

    package init(item: ItemID, reason: String, since: Timestamp) {
        self.item = item
        self.reason = reason
        self.since = since
    }
}

/// A page of the quarantine, in item order.
package struct QuarantineAnswer: Codable, Sendable, Hashable {
    package var generation: Int?
    package var quarantined: [Quarantined]
    /// Whether more follow; request the next page with the last item as `after`.
    package var more: Bool

    package init(generation: Int?, quarantined: [Quarantined], more: Bool = false) {
        self.generation = generation
        self.quarantined = quarantined
        self.more = more
    }
}
