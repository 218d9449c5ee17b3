import GRDB
import SQLiteStore
import Core

extension ChunkRows: AssignmentFacts {
    func item(_ id: ItemID) throws -> StoredItem? {
        guard let lastKnown, id <= lastKnown else { return nil }
        selectItem.bind(1, id.bytes)
        defer { selectItem.reset() }
        guard try selectItem.step() else { return nil }
        return StoredItem(
            codes: selectItem.identifier(0), natural: selectItem.identifier(1),
            status: ItemStatus(column: selectItem.integer(2)))
    }

    func bucket(of id: ItemID, codes: Identifier) throws -> Identifier {
        guard identity.policy == .reassign else { return codes.prefix(identity.levels) }
        let statement = try PreparedStatement(database, "SELECT bucket FROM collision WHERE item = ?")
        statement.bind(1, id.bytes)
        return try statement.step() ? statement.identifier(0) ?? codes : codes
    }

    func tombstones(of id: ItemID) throws -> [Tombstone] {
        guard tally.tombstones > 0 else { return [] }
        let statement = try PreparedStatement(
            database,
            """
            SELECT codes, bucket, deleted, since FROM tombstone WHERE item = ? ORDER BY deleted DESC, since DESC, codes
            """)
        statement.bind(1, id.bytes)
        var found: [Tombstone] = []
        while try statement.step() {
            if let codes = statement.identifier(0), let bucket = statement.identifier(1) {
                found.append(
                    Tombstone(
                        codes: codes, bucket: bucket, isLast: statement.integer(2) == 1, since: statement.integer(3)))
            }
        }
        return found
    }

    func isOccupied(_ codes: Identifier) throws -> Bool { try occupied.contains(codes) }

    func usedCodes(below prefix: Identifier) throws -> [Code] {
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

    func owners(of codes: Identifier) throws -> Int {
        let statement = try PreparedStatement(database, "SELECT count(*) FROM shared_identifier WHERE codes = ?")
        statement.bind(1, codes)
        return try statement.step() ? statement.integer(0) : 0
    }

    /// Finds out beforehand which of these codes are occupied, where that is less work.
    ///
    /// - Parameters:
    ///   - wanted: the natural and balanced codes of the chunk's items, ascending.
    ///   - items: how many items the chunk encodes.
    func survey(_ wanted: [Identifier], items: Int) throws {
        try occupied.survey(wanted, items: items, against: tally)
    }
}
