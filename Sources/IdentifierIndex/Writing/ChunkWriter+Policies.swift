import GRDB
import SQLiteStore
import Core

/// Where an item is to go.
struct Assignment {
    var codes: Identifier
    /// The natural codes that it is given for.
    var bucket: Identifier
    /// How many nearer codes, smaller suffixes or earlier owners there are.
    var rank = 0
    /// Set where the natural codes were somebody else's.
    var rule: CollisionRule?
    /// Whether it is an identifier that the item itself left.
    var wasLeft = false
}

/// An identifier that an item left.
struct Tombstone {
    var codes: Identifier
    /// The natural codes that it was given for.
    var bucket: Identifier
    /// Whether the item had it when it was deleted; else an edit left it.
    var isLast: Bool
}

/// The free suffixes of one bucket, smallest first.
struct FreeSuffixes {
    /// Suffixes that were not free before the chunk, ascending.
    private var used: [Code]
    private var position = 0
    private var candidate = 0

    init(used: [Code]) { self.used = used }

    /// The smallest free one, which is not free any more then; nil if none is. Amortised O(1).
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

/// Collision policies.
extension ChunkWriter {
    /// The identifier that the policy gives an item now; nil if there is none left for it. It is not taken yet.
    ///
    /// - Parameter left: identifiers that the item left; one that it had for the same natural codes is given back.
    mutating func place(for item: EncodedItem, row: Int, left: [Tombstone]) throws -> Assignment? {
        let natural = item.natural
        if let own = left.first(where: { $0.bucket == natural }) { return try place(at: own) }
        switch identity.policy {
        case .reassign:
            if let balanced = item.balanced, try isFree(balanced) {
                return Assignment(codes: balanced, bucket: natural, rule: .balanced)
            }
            if try isFree(natural) { return Assignment(codes: natural, bucket: natural) }
            guard let (codes, rank, rule) = try freeCodes(near: item, row: row) else { return nil }
            return Assignment(codes: codes, bucket: natural, rank: rank, rule: rule)
        case .suffix:
            if suffixes[natural] == nil {
                let used = try occupied.contains(natural) ? usedCodes(below: natural) : []
                suffixes[natural] = FreeSuffixes(used: used)
            }
            while let suffix = suffixes[natural]?.next() {
                let codes = natural.appending(suffix)
                // An old tombstone is free, but its own item may have come back for it.
                if taken.contains(codes) { continue }
                return Assignment(codes: codes, bucket: natural, rank: Int(suffix), rule: suffix == 0 ? nil : .suffix)
            }
            return nil
        case .share:
            let owners = try owners(of: natural, isNatural: true)
            return Assignment(codes: natural, bucket: natural, rank: owners, rule: owners == 0 ? nil : .shared)
        }
    }

    /// The place that an item left.
    mutating func place(at own: Tombstone) throws -> Assignment {
        var place = Assignment(codes: own.codes, bucket: own.bucket, wasLeft: true)
        switch identity.policy {
        case .reassign: if own.codes != own.bucket { place.rule = .returned }
        case .suffix: place.rank = Int(own.codes[levels])
        case .share: place.rank = try owners(of: own.codes)
        }
        if place.rank > 0 { place.rule = .returned }
        return place
    }

    /// How many items share an identifier, those of this chunk included.
    ///
    /// - Parameter isNatural: whether the codes are an item's of this chunk; whose they were before is known then.
    mutating func owners(of codes: Identifier, isNatural: Bool = false) throws -> Int {
        if let known = owners[codes] { return known }
        if isNatural, try !occupied.contains(codes) {
            owners[codes] = 0
            return 0
        }
        let statement = try PreparedStatement(database, "SELECT count(*) FROM shared_identifier WHERE codes = ?")
        statement.bind(1, codes)
        defer { statement.reset() }
        let count = try statement.step() ? statement.integer(0) : 0
        owners[codes] = count
        return count
    }

    // MARK: - Policy `reassign`

    private func isFree(_ codes: Identifier) throws -> Bool {
        try !taken.contains(codes) && !occupied.contains(codes)
    }

    /// The free codes that policy `reassign` gives: nearest at the last level, else below the next-nearest code above;
    /// nil if every identifier is taken.
    private mutating func freeCodes(
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
    private mutating func free(below prefix: Identifier, except: Code?, row: Int) throws -> (Identifier, Int)? {
        var distances: [Float] = []
        if prefix.count == levels - 1 {
            // Many items with one vector fill bucket after bucket: a full one is looked at once a chunk.
            if full.contains(prefix) { return nil }
            var isUsed = [Bool](repeating: false, count: identity.codesPerLevel)
            var isAnyFree = false
            for code in try usedCodes(below: prefix) + (moved[prefix] ?? []) where Int(code) < isUsed.count {
                isUsed[Int(code)] = true
            }
            for natural in occupied.natural(below: prefix) where taken.contains(natural) {
                isUsed[Int(natural[levels - 1])] = true
            }
            for isUsed in isUsed where !isUsed { isAnyFree = true }
            guard isAnyFree else {
                full.insert(prefix)
                return nil
            }
            try self.distances.distances(row: row, below: prefix, into: &distances)
            var best = -1
            var least = Float.infinity
            for index in 0..<distances.count where !isUsed[index] && (best < 0 || distances[index] < least) {
                best = index
                least = distances[index]
            }
            guard best >= 0 else { return nil }
            var rank = 0
            for index in 0..<distances.count {
                rank += distances[index] < least || (distances[index] == least && index < best) ? 1 : 0
            }
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

    /// Codes below a prefix of all codes but the last that items or tombstones had before the chunk, ascending.
    private func usedCodes(below prefix: Identifier) throws -> [Code] {
        var used: [Code] = []
        let live = try PreparedStatement(
            database, "SELECT codes FROM identifier WHERE codes BETWEEN ? AND ? ORDER BY codes")
        live.bind(1, prefix.appending(0))
        live.bind(2, prefix.appending(.max))
        while try live.step() {
            if let codes = live.identifier(0), codes.count > prefix.count { used.append(codes[prefix.count]) }
        }
        guard tally.tombstones > 0 else { return used }
        let left = try PreparedStatement(
            database, "SELECT codes FROM tombstone WHERE codes BETWEEN ? AND ? AND since >= ?")
        left.bind(1, prefix.appending(0))
        left.bind(2, prefix.appending(.max))
        left.bind(3, blockingSince)
        while try left.step() {
            if let codes = left.identifier(0), codes.count > prefix.count { used.append(codes[prefix.count]) }
        }
        return used.sorted()
    }
}
