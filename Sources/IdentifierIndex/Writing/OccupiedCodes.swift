import GRDB
import SQLiteStore
import Core

/// Which natural or balanced codes were in use before a chunk: an item had them, or a tombstone blocked them.
///
/// Under policy `suffix`: whether any identifier begins with them.
struct OccupiedCodes {
    private let database: Database
    private let identity: IndexIdentity
    private let blockingSince: Int
    private let live: PreparedStatement
    private let left: PreparedStatement
    /// Set when an identifier is left while the chunk is applied.
    var hasTombstones = true

    /// The occupied ones among the codes surveyed; nil: each is looked up when it is asked for.
    private var known: Set<Identifier>?

    /// From how many items of a chunk on all codes are looked up beforehand, in the order of the table.
    private static let manyItems = 1_024

    init(_ database: Database, identity: IndexIdentity, blockingSince: Int) throws {
        self.database = database
        self.identity = identity
        self.blockingSince = blockingSince
        live = try PreparedStatement(
            database, "SELECT 1 FROM \(identity.identifierTable) WHERE codes BETWEEN ? AND ? LIMIT 1")
        left = try PreparedStatement(
            database, "SELECT 1 FROM tombstone WHERE codes BETWEEN ? AND ? AND since >= ? LIMIT 1")
    }

    /// Whether the codes were occupied. O(1) after a survey, else O(log items).
    func contains(_ codes: Identifier) throws -> Bool {
        if let known { return known.contains(codes) }
        return try lookUp(codes)
    }

    /// Looks up all codes of a chunk at once, where that is less work: with one pass through the table if the chunk is
    /// large compared with it, else one by one in the order of the table.
    mutating func survey(_ wanted: [Identifier], items: Int, against tally: Tally) throws {
        hasTombstones = tally.tombstones > 0
        if tally.live == 0, !hasTombstones {
            known = []
            return
        }
        guard items >= Self.manyItems else { return }
        var found: Set<Identifier> = []
        if items >= (tally.live + tally.tombstones) / 8 {
            try pass("SELECT codes FROM \(identity.identifierTable) ORDER BY codes", wanted, into: &found)
            if hasTombstones {
                try pass(
                    "SELECT codes FROM tombstone WHERE since >= \(blockingSince) ORDER BY codes", wanted, into: &found)
            }
        } else {
            for codes in wanted where try lookUp(codes) { found.insert(codes) }
        }
        known = found
    }

    private func pass(_ sql: String, _ wanted: [Identifier], into found: inout Set<Identifier>) throws {
        let statement = try PreparedStatement(database, sql)
        var position = 0
        while position < wanted.count, try statement.step() {
            guard let codes = statement.identifier(0) else { continue }
            let bucket = identity.policy == .suffix ? codes.prefix(identity.levels) : codes
            while position < wanted.count, wanted[position] < bucket { position += 1 }
            if position < wanted.count, wanted[position] == bucket { found.insert(bucket) }
        }
    }

    private func lookUp(_ codes: Identifier) throws -> Bool {
        let (first, last) = identity.policy == .suffix ? (codes.appending(0), codes.appending(.max)) : (codes, codes)
        live.bind(1, first)
        live.bind(2, last)
        defer { live.reset() }
        if try live.step() { return true }
        guard hasTombstones else { return false }
        left.bind(1, first)
        left.bind(2, last)
        left.bind(3, blockingSince)
        defer { left.reset() }
        return try left.step()
    }
}
