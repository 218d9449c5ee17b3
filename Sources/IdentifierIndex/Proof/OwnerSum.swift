import CXXHash
import Files
import GRDB
import SQLiteStore
import Core

/// Which items have which identifiers, as a sum of hashes that does not depend on the order of adding.
struct OwnerSum: Equatable, Sendable {
    private(set) var rows = 0
    private(set) var sum: UInt64 = 0
    /// The row at hand; kept to save an allocation for each.
    private var row: [UInt8] = []

    static func == (left: Self, right: Self) -> Bool { left.rows == right.rows && left.sum == right.sum }

    /// Adds an item with its identifier.
    mutating func add(_ item: ItemID, _ codes: Identifier) { add(item, codes, sign: 1) }

    /// Adds what a record of the journal gives, or subtracts what it takes.
    mutating func add(_ event: AssignmentEvent) {
        switch event.kind {
        case .given, .decided: add(event.item, event.codes, sign: 1)
        case .deleted, .replaced: add(event.item, event.codes, sign: -1)
        case .explained, .deletedBefore, .replacedBefore: break
        }
    }

    private mutating func add(_ item: ItemID, _ codes: Identifier, sign: Int) {
        row.removeAll(keepingCapacity: true)
        row.append(contentsOf: item.bytes)
        endID()
        for level in 0..<codes.count {
            row.append(UInt8(truncatingIfNeeded: codes[level] >> 8))
            row.append(UInt8(truncatingIfNeeded: codes[level]))
        }
        add(sign)
    }

    /// Marks the end of the id, so that no bytes can move from the one column to the other.
    private mutating func endID() {
        row.append(contentsOf: [UInt8(truncatingIfNeeded: row.count), UInt8(truncatingIfNeeded: row.count >> 8)])
    }

    private mutating func add(_ sign: Int) {
        let hash = row.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }
        rows += sign
        if sign > 0 { sum &+= hash } else { sum &-= hash }
    }
}

extension OwnerSum {
    /// The sum of the rows of a query that gives an id and an identifier. O(rows).
    init(_ database: Database, _ sql: String) throws {
        let statement = try PreparedStatement(database, sql)
        while try statement.step() {
            row.removeAll(keepingCapacity: true)
            statement.append(0, to: &row)
            endID()
            statement.append(1, to: &row)
            add(1)
        }
    }

    /// The identifiers that the items of an index have. O(items).
    init(itemsOf database: Database) throws {
        try self.init(database, "SELECT id, codes FROM item WHERE codes IS NOT NULL")
    }

    /// Compares the two tables that say which item has an identifier: `item` and that of the identifiers.
    ///
    /// `PRAGMA quick_check` finds damage to the form of a file, not to the contents of its rows. These rows are stored
    /// twice, in different orders, so their sums must be equal. O(items), about a second a million.
    ///
    /// - Throws: `StoreError` (`damaged`).
    static func compareOwners(_ store: SQLiteStore, identity: IndexIdentity, path: String) throws {
        let (items, owners) = try store.read { database in
            (
                try OwnerSum(itemsOf: database),
                try OwnerSum(database, "SELECT item, codes FROM \(identity.identifierTable)")
            )
        }
        guard items == owners else {
            throw StoreError.damaged(
                path, "\(items.rows) items have identifiers and \(owners.rows) identifiers have items, and they differ",
                remedy: IndexFile.repair)
        }
    }

    /// What a journal adds up to, from its beginning to the last frame of a commit.
    struct Journal {
        /// The items and identifiers.
        private(set) var sum = OwnerSum()
        /// Where the last frame of the commit ends; nil if the journal has none.
        private(set) var end: Int?
        /// Frames with a record that cannot be read.
        private(set) var unreadable = 0

        /// - Parameter commit: nil: the whole journal counts.
        init(_ file: OpenFile, upTo commit: IndexCommit?) throws {
            try JournalFormat.read(file, of: nil) { frame in
                // Several frames may have the commit, one after another: those of a snapshot.
                if end != nil, frame.position.commit != commit { return false }
                var reader = ByteReader(frame.records)
                while !reader.isAtEnd {
                    guard let event = AssignmentEvent(&reader) else {
                        unreadable += 1
                        break
                    }
                    sum.add(event)
                }
                if frame.position.commit == commit { end = frame.position.end }
                return true
            }
        }
    }
}
