import GRDB
import SQLiteStore
import Core

/// Which natural or balanced codes were somebody's before a chunk: an item's, or kept for one that left.
///
/// Under policy `suffix`: whether anything begins with them.
struct OccupiedCodes {
    private let database: Database
    private let identity: IndexIdentity
    private let blockingSince: Int
    private let live: PreparedStatement
    private let left: PreparedStatement
    /// To be set when an identifier is left while items are decided upon.
    var hasTombstones = true

    /// The natural and the balanced codes of the chunk's items, each once, ascending.
    private var wanted: [Identifier] = []

    /// What was found out beforehand; nil: each is looked up when it is asked for.
    private var known: Set<Identifier>?

    /// From how many items of a chunk on all are looked up beforehand, in the order of the table.
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

    /// Whether the codes were occupied. O(1) after a survey, else O(log n).
    func contains(_ natural: Identifier) throws -> Bool {
        if let known { return known.contains(natural) }
        return try lookUp(natural)
    }

    /// Finds out about all items of a chunk at once, where that is less work: with one pass through the table if the
    /// chunk is not small beside it, else with look-ups in the table's order.
    mutating func survey(_ items: [EncodedItem], against tally: Tally) throws {
        hasTombstones = tally.tombstones > 0
        wanted = Set(items.map(\.natural) + items.compactMap(\.balanced)).sorted()
        if tally.live == 0, !hasTombstones {
            known = []
            return
        }
        guard items.count >= Self.manyItems else { return }
        var found: Set<Identifier> = []
        if items.count >= (tally.live + tally.tombstones) / 8 {
            try pass("SELECT codes FROM \(identity.identifierTable) ORDER BY codes", into: &found)
            if hasTombstones {
                try pass(
                    "SELECT codes FROM tombstone WHERE since >= \(blockingSince) ORDER BY codes",
                    into: &found)
            }
        } else {
            for natural in wanted where try lookUp(natural) { found.insert(natural) }
        }
        known = found
    }

    private func pass(_ sql: String, into found: inout Set<Identifier>) throws {
        let statement = try PreparedStatement(database, sql)
        defer { statement.reset() }
        var position = 0
        while position < wanted.count, try statement.step() {
            guard let codes = statement.identifier(0) else { continue }
            let bucket = identity.policy == .suffix ? codes.prefix(identity.levels) : codes
            while position < wanted.count, wanted[position] < bucket { position += 1 }
            if position < wanted.count, wanted[position] == bucket { found.insert(bucket) }
        }
    }

    /// The natural and balanced codes of the chunk's items that begin with a prefix of all codes but the last, ascending.
    ///
    /// O(log n + how many there are).
    func natural(below prefix: Identifier) -> ArraySlice<Identifier> {
        var (low, high) = (0, wanted.count)
        while low < high {
            let middle = (low + high) / 2
            if wanted[middle] < prefix { low = middle + 1 } else { high = middle }
        }
        return wanted[low...].prefix { $0.prefix(prefix.count) == prefix }
    }

    private func lookUp(_ natural: Identifier) throws -> Bool {
        let (first, last) =
            identity.policy == .suffix ? (natural.appending(0), natural.appending(.max)) : (natural, natural)
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
