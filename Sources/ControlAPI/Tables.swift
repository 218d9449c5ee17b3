package import Core

/// Why an item did not get the codes that its embedding gives by nature.
package struct Collision: Codable, Sendable, Hashable {
    package var item: ItemID
    /// The codes its embedding gives.
    package var natural: Identifier
    /// The identifier it got.
    package var given: Identifier
    /// How far down the order of preference the identifier is; 0 is the natural one.
    package var rank: Int
    /// The rule that decided, such as `reassign.last_level`.
    package var rule: String
    /// The natural codes that the contenders share.
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
    /// Whether more follow; ask again with `after` the last item.
    package var more: Bool

    package init(generation: Int?, collisions: [Collision], more: Bool = false) {
        self.generation = generation
        self.collisions = collisions
        self.more = more
    }
}

/// What was confirmed of deletions that waited for it.
package struct ConfirmAnswer: Codable, Sendable, Hashable {
    /// The generations that will apply them, and how many items each removes.
    package var confirmed: [HeldDeletions]

    /// Deletions of one generation that wait for confirmation.
    package struct HeldDeletions: Codable, Sendable, Hashable {
        package var generation: Int
        /// Items that the catalog no longer has.
        package var deletions: Int
        /// Items that the index knows.
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

/// An item that cannot be encoded.
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
    /// Whether more follow; ask again with `after` the last item.
    package var more: Bool

    package init(generation: Int?, quarantined: [Quarantined], more: Bool = false) {
        self.generation = generation
        self.quarantined = quarantined
        self.more = more
    }
}
