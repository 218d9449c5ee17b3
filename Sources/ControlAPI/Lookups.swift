package import Core

/// What is known of one item; one element of a lookup's answer.
package struct ItemAnswer: Sendable, Hashable {
    package var item: ItemID
    /// Its identifier; nil when it has none.
    package var codes: Identifier?
    package var status: ItemStatus
    /// The generation that answered; nil if none is active.
    package var generation: Int?

    package init(item: ItemID, codes: Identifier?, status: ItemStatus, generation: Int?) {
        self.item = item
        self.codes = codes
        self.status = status
        self.generation = generation
    }
}

extension ItemAnswer: Codable {
    private enum CodingKeys: String, CodingKey { case item, codes, tokens, generation, status }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        item = try container.decode(ItemID.self, forKey: .item)
        codes = try container.decodeIfPresent(Identifier.self, forKey: .codes)
        generation = try container.decodeIfPresent(Int.self, forKey: .generation)
        status = try container.decode(ItemStatus.self, forKey: .status)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(item, forKey: .item)
        try container.encode(codes, forKey: .codes)
        try container.encode(codes?.tokens, forKey: .tokens)
        try container.encode(generation, forKey: .generation)
        try container.encode(status, forKey: .status)
    }
}

/// Answers to a batch of items, in the order of the request, all from one generation.
package struct ItemsAnswer: Codable, Sendable, Hashable {
    package var generation: Int?
    package var items: [ItemAnswer]

    package init(generation: Int?, items: [ItemAnswer]) {
        self.generation = generation
        self.items = items
    }
}

/// The status of an identifier in a generation.
package enum IdentifierStatus: String, Codable, Sendable, CaseIterable {
    /// Live items have it.
    case live
    /// It belonged to an item that was deleted.
    case deleted
    /// No item has it or ever had it.
    case unknown
}

/// The items that have one identifier: none, one, or several under the `share` policy.
package struct IdentifierAnswer: Codable, Sendable, Hashable {
    package var codes: Identifier
    package var items: [ItemID]
    package var status: IdentifierStatus
    package var generation: Int?

    /// - Parameter status: nil for `live` if there are items, else `unknown`.
    package init(codes: Identifier, items: [ItemID], status: IdentifierStatus? = nil, generation: Int?) {
        self.codes = codes
        self.items = items
        self.status = status ?? (items.isEmpty ? .unknown : .live)
        self.generation = generation
    }
}

/// Answers to a batch of identifiers in the order of the request, or a page of those below a prefix in ascending order.
package struct IdentifiersAnswer: Codable, Sendable, Hashable {
    package var generation: Int?
    package var identifiers: [IdentifierAnswer]
    /// Whether more follow; request the next page with the last codes as `after`.
    package var more: Bool

    package init(generation: Int?, identifiers: [IdentifierAnswer], more: Bool = false) {
        self.generation = generation
        self.identifiers = identifiers
        self.more = more
    }
}

/// The codes that may follow a prefix, which constrained decoding requests at each step.
package struct TrieAnswer: Codable, Sendable, Hashable {
    package var prefix: Identifier
    /// Codes that continue the prefix to a live item, in ascending order; empty for a whole identifier.
    package var next: [Code]
    /// Live items below the prefix.
    package var items: Int
    package var generation: Int?

    package init(prefix: Identifier, next: [Code], items: Int, generation: Int?) {
        self.prefix = prefix
        self.next = next
        self.items = items
        self.generation = generation
    }
}

/// Answers to a batch of prefixes, in the order of the request, all from one generation.
package struct TrieAnswers: Codable, Sendable, Hashable {
    package var generation: Int?
    package var answers: [TrieAnswer]

    package init(generation: Int?, answers: [TrieAnswer]) {
        self.generation = generation
        self.answers = answers
    }
}

/// One line of a dump.
package struct ItemDump: Codable, Sendable, Hashable {
    package var item: ItemID
    package var codes: Identifier

    package init(item: ItemID, codes: Identifier) {
        self.item = item
        self.codes = codes
    }
}

/// Consecutive lines of a dump, in key order.
package struct DumpBatch: Sendable, Hashable {
    /// The generation, the same in every batch of one dump.
    package var generation: Int
    package var items: [ItemDump]

    package init(generation: Int, items: [ItemDump]) {
        self.generation = generation
        self.items = items
    }
}
