import CXXHash
import GRDB
import SQLiteStore
import Core

extension IdentifierIndex {
    /// What `PRAGMA quick_check`, or if `deep` `integrity_check`, finds wrong with the file. O(size).
    package func problems(deep: Bool) throws -> [String] {
        deep ? try store.integrityProblems() : try store.quickProblems()
    }

    /// Compares the two places that say whose an identifier is: the items and the identifiers.
    ///
    /// `PRAGMA quick_check` sees damage to the form of a file, not to what a row says. Each of these rows is there twice,
    /// in another order; sums of their hashes, which no order changes, must be equal. O(items), about a second a million.
    ///
    /// - Throws: `StoreError` (`damaged`).
    static func checkOwners(_ store: SQLiteStore, identity: IndexIdentity, path: String) throws {
        let (items, owners) = try store.read { database in
            (
                try ownerSum(database, "SELECT id, codes FROM item WHERE codes IS NOT NULL"),
                try ownerSum(database, "SELECT item, codes FROM \(identity.identifierTable)")
            )
        }
        guard items == owners else {
            throw StoreError.damaged(
                path, "\(items.rows) items have identifiers and \(owners.rows) identifiers have items, and they differ",
                remedy: settings.repair)
        }
    }

    /// A sum over rows of an id and an identifier.
    static func ownerSum(_ database: Database, _ sql: String) throws -> OwnerSum {
        let statement = try PreparedStatement(database, sql)
        var result = OwnerSum()
        while try statement.step() {
            result.row.removeAll(keepingCapacity: true)
            statement.append(0, to: &result.row)
            result.endID()
            statement.append(1, to: &result.row)
            result.add(1)
        }
        return result
    }
}

/// Which items have which identifiers, as a sum of hashes: the same whatever the order.
struct OwnerSum: Equatable {
    private(set) var rows = 0
    private(set) var sum: UInt64 = 0
    /// The row at hand.
    fileprivate var row: [UInt8] = []

    static func == (left: Self, right: Self) -> Bool { left.rows == right.rows && left.sum == right.sum }

    /// Adds what a record of the journal gives, or takes away what it takes.
    mutating func add(_ event: AssignmentEvent) {
        row.removeAll(keepingCapacity: true)
        row.append(contentsOf: event.item.bytes)
        endID()
        row.append(contentsOf: event.codes.bytes)
        switch event.kind {
        case .given, .decided: add(1)
        case .deleted, .replaced: add(-1)
        case .explained, .deletedBefore, .replacedBefore: break
        }
    }

    /// Marks the end of the id, so that no bytes can move from the one column to the other.
    fileprivate mutating func endID() {
        row.append(contentsOf: [UInt8(truncatingIfNeeded: row.count), UInt8(truncatingIfNeeded: row.count >> 8)])
    }

    fileprivate mutating func add(_ sign: Int) {
        let hash = row.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }
        rows += sign
        if sign > 0 { sum &+= hash } else { sum &-= hash }
    }
}
