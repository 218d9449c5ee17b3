package import Core

extension CatalogReader {
    /// Compares the catalog with what an index knows: a merge-join in key order.
    ///
    /// A snapshot that is no longer the newest keeps every page that writers replace, and the file grows by them. Where
    /// `holding` is false the comparison therefore goes on in the newest one as soon as there is a commit. Each record is
    /// then compared in a snapshot that is the first one, which `cursor` names, or newer, so that what was committed up to
    /// that cursor is among the changes; but nothing counts the records of several snapshots, and what seems to be gone
    /// is told as `missed` instead of `deleted`.
    ///
    /// O(bytes of the catalog); memory grows with the number of changes alone.
    ///
    /// - Parameters:
    ///   - holding: compare in one snapshot, whatever is committed meanwhile.
    ///   - known: gives what the index knows, in key order, a page at each call; an empty page is the end.
    /// - Throws: `damaged` if the scan saw another number of items than the catalog counts; what `known` throws.
    package func changes(holding: Bool, known: () throws -> KnownItems) throws -> ChangeSet {
        var walk = try RecordWalk(self, holding: holding)
        var changes = ChangeSet(cursor: walk.start)
        var page = try walk.waiting(for: known)
        while page.count > 0 {
            try page.bytes.withUnsafeBytes { bytes in
                var start = 0
                for (end, digest) in zip(page.ends, page.digests) {
                    let id = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                    start = end
                    // What comes before this id in the catalog is new to the index.
                    var order = -1
                    while let found = walk.record {
                        order = compareKeys(id, found.key)
                        guard order > 0 else { break }
                        changes.changed.append(ItemID(unchecked: Array(found.key)))
                        changes.scanned += 1
                        try walk.advance()
                    }
                    guard order == 0, let found = walk.record else {
                        changes.deleted.append(ItemID(unchecked: Array(id)))
                        continue
                    }
                    if digest != Digest(of: found.value) { changes.changed.append(ItemID(unchecked: Array(id))) }
                    changes.scanned += 1
                    try walk.advance()
                }
            }
            changes.known += page.count
            page = try walk.waiting(for: known)
        }
        while let found = walk.record {
            changes.changed.append(ItemID(unchecked: Array(found.key)))
            changes.scanned += 1
            try walk.advance()
        }
        guard !walk.isMixed else {
            changes.missed = changes.deleted.count
            changes.deleted = []
            return changes
        }
        let counted = try walk.count()
        guard changes.scanned == counted else {
            throw CatalogError(
                .damaged, "A scan of \(path) saw \(changes.scanned) items where the catalog counts \(counted).",
                remedy: "Restore data.mdb from a copy (mdb_copy); nothing was deleted from the index.")
        }
        try confirmGone(changes.deleted, in: walk.pages)
        return changes
    }
}

/// A walk over all records of a catalog in key order, in one snapshot or, while others commit, in ever newer ones.
struct RecordWalk: ~Copyable {
    /// The first snapshot, and where the change log stood in it.
    let start: CatalogCursor
    /// The pages of the first snapshot.
    let pages: SnapshotPages?
    /// The record at hand, valid until the next `advance` or `waiting`; nil after the last.
    private(set) var record: LMDBCursor.Record?
    /// Whether the walk went on in another snapshot than the first.
    private(set) var isMixed = false

    private let reader: CatalogReader
    private let isHeld: Bool
    private var newest: NewestSnapshot
    private var untilLook = NewestSnapshot.recordsBetweenLooks
    // In this order: the cursor goes before its transaction.
    private var cursor: LMDBCursor
    private let transaction: LMDBTransaction

    /// Begins at the first record.
    init(_ reader: CatalogReader, holding: Bool) throws {
        try CatalogReader.checkSize(reader.environment)
        let transaction = try LMDBTransaction(reader.environment, readOnly: true)
        let pages = try reader.pages(of: transaction)
        try reader.confirmFormat(transaction)
        let start = CatalogCursor(version: reader.version(of: transaction), log: try reader.position(in: transaction))
        var cursor = try transaction.cursor(reader.embeddings)
        record = try cursor.next()
        newest = NewestSnapshot(transaction)
        self.reader = reader
        self.start = start
        self.pages = pages
        self.transaction = transaction
        self.cursor = cursor
        isHeld = holding
    }

    /// Goes to the next record.
    mutating func advance() throws {
        record = try cursor.next()
        untilLook -= 1
        guard untilLook == 0 else { return }
        untilLook = NewestSnapshot.recordsBetweenLooks
        guard !isHeld, newest.isLeft(by: transaction) else { return }
        let next = release()
        try renew(at: next)
    }

    /// What `body` returns, which may take its time: no snapshot is kept meanwhile.
    mutating func waiting<R>(for body: () throws -> R) throws -> R {
        guard !isHeld else { return try body() }
        let next = release()
        let result = try body()
        try renew(at: next)
        return result
    }

    /// Records that the snapshot counts. O(1).
    func count() throws -> Int { try transaction.count(reader.embeddings) }

    /// Lets go of the snapshot; the key to go on at.
    private mutating func release() -> [UInt8]? {
        let key = record.map { Array($0.key) }
        record = nil
        transaction.release()
        return key
    }

    /// Goes on in the newest snapshot at the first record whose key is not below this one; nil is the end.
    private mutating func renew(at key: [UInt8]?) throws {
        try transaction.renew()
        if newest.took(transaction) {
            isMixed = true
            try CatalogReader.checkSize(reader.environment)
            try reader.confirmFormat(transaction)
        }
        try cursor.renew(transaction)
        guard let key else { return }
        record = try cursor.seek(key)
        let isBelow = key.withUnsafeBytes { key in record.map { compareKeys($0.key, key) < 0 } ?? false }
        // A walk that a damaged page sends back might never end.
        guard !isBelow else {
            throw CatalogError(PageDamage(page: 0, what: "a search went back in the order of keys"), reader.path)
        }
    }
}

/// Whether a snapshot is still the newest.
///
/// LMDB shows a commit before snapshots do (`CatalogReader.version`), for as long as it is synced: meanwhile a renewal gives
/// the same snapshot again, which costs a microsecond or two at every look.
struct NewestSnapshot {
    /// Records that are read before it is looked whether a commit came: a look takes some nanoseconds.
    static let recordsBetweenLooks = 32

    private var number: UInt64

    init(_ transaction: borrowing LMDBTransaction) { number = transaction.number }

    /// Whether there may be a newer one than that of the transaction.
    func isLeft(by transaction: borrowing LMDBTransaction) -> Bool {
        transaction.environment.lastTransaction != number
    }

    /// Notes which one a renewed transaction has; whether it is another.
    mutating func took(_ transaction: borrowing LMDBTransaction) -> Bool {
        defer { number = transaction.number }
        return transaction.number != number
    }
}
