import Core

/// The collision policies.
extension ChunkPlan {
    /// The identifier that the policy gives an item now; nil if there is none left for it. It is not taken yet.
    ///
    /// - Parameter left: identifiers that the item left; it gets back one that it had for the same natural codes.
    mutating func assignment(
        for item: EncodedItem, row: Int, left: [Tombstone], facts: some AssignmentFacts
    ) throws -> Assignment? {
        let natural = item.natural
        if let own = left.first(where: { $0.bucket == natural }) { return try assignment(of: own, facts: facts) }
        switch identity.policy {
        case .reassign:
            if let balanced = item.balanced, try isFree(balanced, facts) {
                return Assignment(codes: balanced, bucket: natural, rule: .balanced)
            }
            if try isFree(natural, facts) { return Assignment(codes: natural, bucket: natural) }
            guard let (codes, rank, rule) = try freeCodes(near: item, row: row, facts) else { return nil }
            return Assignment(codes: codes, bucket: natural, rank: rank, rule: rule)
        case .suffix:
            if suffixes[natural] == nil {
                let used = try facts.isOccupied(natural) ? facts.usedCodes(below: natural) : []
                suffixes[natural] = FreeSuffixes(used: used)
            }
            while let suffix = suffixes[natural]?.next() {
                let codes = natural.appending(suffix)
                // An old tombstone blocks no suffix, but its own item may have got it back in this chunk.
                if taken.contains(codes) { continue }
                return Assignment(codes: codes, bucket: natural, rank: Int(suffix), rule: suffix == 0 ? nil : .suffix)
            }
            return nil
        case .share:
            let owners = try owners(of: natural, isNatural: true, facts: facts)
            return Assignment(codes: natural, bucket: natural, rank: owners, rule: owners == 0 ? nil : .shared)
        }
    }

    /// The identifier that an item left, for that item.
    mutating func assignment(of own: Tombstone, facts: some AssignmentFacts) throws -> Assignment {
        var found = Assignment(codes: own.codes, bucket: own.bucket, wasLeft: true)
        switch identity.policy {
        case .reassign: if own.codes != own.bucket { found.rule = .returned }
        case .suffix: found.rank = Int(own.codes[levels])
        case .share: found.rank = try owners(of: own.codes, facts: facts)
        }
        if found.rank > 0 { found.rule = .returned }
        return found
    }

    /// How many items share an identifier, those of this chunk included.
    ///
    /// - Parameter isNatural: whether the codes are natural codes of an item of this chunk; `facts` knows without a query
    ///   whether those were occupied.
    mutating func owners(of codes: Identifier, isNatural: Bool = false, facts: some AssignmentFacts) throws -> Int {
        if let known = owners[codes] { return known }
        let count = try isNatural && !facts.isOccupied(codes) ? 0 : facts.owners(of: codes)
        owners[codes] = count
        return count
    }

    // MARK: - Policy `reassign`

    private func isFree(_ codes: Identifier, _ facts: some AssignmentFacts) throws -> Bool {
        try !taken.contains(codes) && !facts.isOccupied(codes)
    }

    /// The free codes that policy `reassign` gives: the nearest at the last level, else those below the next-nearest code
    /// of a level above; nil if every identifier is taken.
    private mutating func freeCodes(
        near item: EncodedItem, row: Int, _ facts: some AssignmentFacts
    ) throws -> (codes: Identifier, rank: Int, rule: CollisionRule)? {
        for depth in stride(from: levels - 1, through: 0, by: -1) {
            let isLast = depth == levels - 1
            if let (codes, rank) = try free(
                below: item.natural.prefix(depth), except: isLast ? nil : item.natural[depth], row: row, facts)
            {
                return (codes, rank, isLast ? .nearestFree : .nextPrefix)
            }
        }
        return nil
    }

    /// The nearest free codes below a prefix, and how many nearer codes of the prefix's level were passed over.
    ///
    /// Equally near codes are taken in ascending order.
    private mutating func free(
        below prefix: Identifier, except: Code?, row: Int, _ facts: some AssignmentFacts
    ) throws -> (Identifier, Int)? {
        if prefix.count == levels - 1 { return try freeLast(below: prefix, row: row, facts) }
        var distances: [Float] = []
        try self.distances.distances(row: row, below: prefix, into: &distances)
        let order = distances.indices.sorted { (distances[$0], $0) < (distances[$1], $1) }
        for (rank, index) in order.enumerated() {
            let code = Code(truncatingIfNeeded: index)
            if code == except { continue }
            if let (codes, _) = try free(below: prefix.appending(code), except: nil, row: row, facts) {
                return (codes, rank)
            }
        }
        return nil
    }

    /// The nearest free code of the last level, and how many nearer ones are not free.
    private mutating func freeLast(
        below prefix: Identifier, row: Int, _ facts: some AssignmentFacts
    ) throws -> (Identifier, Int)? {
        // Many items with the same vector fill bucket after bucket: a full one is searched once a chunk.
        if full.contains(prefix) { return nil }
        var isUsed = [Bool](repeating: false, count: identity.codesPerLevel)
        for code in try facts.usedCodes(below: prefix) + (moved[prefix] ?? []) where Int(code) < isUsed.count {
            isUsed[Int(code)] = true
        }
        for natural in wanted(below: prefix) where taken.contains(natural) { isUsed[Int(natural[levels - 1])] = true }
        guard isUsed.contains(false) else {
            full.insert(prefix)
            return nil
        }
        var distances: [Float] = []
        try self.distances.distances(row: row, below: prefix, into: &distances)
        var best: Int?
        var least = Float.infinity
        for index in 0..<distances.count where !isUsed[index] && (best == nil || distances[index] < least) {
            best = index
            least = distances[index]
        }
        guard let best else { return nil }
        var rank = 0
        for index in 0..<distances.count {
            rank += distances[index] < least || (distances[index] == least && index < best) ? 1 : 0
        }
        return (prefix.appending(Code(truncatingIfNeeded: best)), rank)
    }

    /// The natural and balanced codes of the chunk's items that begin with a prefix of all codes but the last, ascending.
    /// O(log n + how many there are).
    private func wanted(below prefix: Identifier) -> ArraySlice<Identifier> {
        var (low, high) = (0, wanted.count)
        while low < high {
            let middle = (low + high) / 2
            if wanted[middle] < prefix { low = middle + 1 } else { high = middle }
        }
        return wanted[low...].prefix { $0.prefix(prefix.count) == prefix }
    }
}

/// The free suffixes of one bucket, smallest first.
struct FreeSuffixes {
    /// Suffixes that were not free before the chunk, ascending.
    private let used: [Code]
    private var position = 0
    private var candidate = 0

    init(used: [Code]) { self.used = used }

    /// The smallest free one, which is then no longer free; nil if there is none. Amortised O(1).
    mutating func next() -> Code? {
        while position < used.count, Int(used[position]) == candidate {
            position += 1
            candidate += 1
        }
        guard let code = Code(exactly: candidate) else { return nil }
        candidate += 1
        return code
    }
}
