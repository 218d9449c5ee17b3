package import Core

/// Why the change log cannot tell what changed, so that the whole catalog must be compared.
package enum LogFault: String, Sendable, CaseIterable {
    /// The index has no position in a log: it was never complete, or a plain writer had committed last.
    case noPosition = "no position"
    /// Another file, or another boot of the machine, after which a commit's number may have been used again.
    case otherFile = "another file or boot"
    /// The catalog is older than what the index answers.
    case regressed = "an older commit"
    case noLog = "no log"
    /// The log's format is not known, or its records are not what the format says.
    case unreadable = "a log that cannot be read"
    /// A writer that does not keep the log committed last.
    case plainWriter = "a plain writer's commit"
    /// The log was begun anew.
    case otherEpoch = "a new log"
    /// The entry of the index's position was dropped.
    case trimmed = "a log that begins later"
    /// The entry of the index's position is another transaction's: the catalog was put back to an older state.
    case otherHistory = "another history"
    /// The log itself says that it does not tell everything.
    case gap = "a gap in the log"
}

/// What the change log tells since a position.
package struct LoggedChanges: Sendable {
    /// The snapshot in which it was read, and where the log stood in it.
    package var cursor: CatalogCursor
    /// The items that the log names, each once, in key order.
    package var items: [ItemID] = []
    /// The digest of each one's record in that snapshot; nil for items that are gone.
    package var digests: [Digest?] = []
    /// Entries of the log that were read.
    package var entries = 0
}

/// An answer of the change log.
package enum LogReading: Sendable {
    case changes(LoggedChanges)
    case unusable(LogFault)
}

extension ChangeSet {
    /// What an index has to do about what the log tells, given the digests that it knows of those items.
    ///
    /// `known`, the number of all items that the index knows, is left 0.
    package init(_ logged: LoggedChanges, known: [Digest?]) {
        self.init(cursor: logged.cursor, source: .log(entries: logged.entries))
        scanned = logged.items.count
        for (item, (now, was)) in zip(logged.items, zip(logged.digests, known)) where now != was {
            if now == nil { deleted.append(item) } else { changed.append(item) }
        }
    }
}

extension CatalogReader {
    /// What the change log tells since a cursor, read in one snapshot; or why it cannot tell.
    ///
    /// The answer is complete if it is one: every item whose record differs between the cursor's version and the
    /// snapshot is in it. O(changes · log n), whatever the size of the catalog.
    package func changes(since cursor: CatalogCursor) throws -> LogReading {
        guard let position = cursor.log else { return .unusable(.noPosition) }
        try Self.checkSize(environment)
        let transaction = try LMDBTransaction(environment, readOnly: true)
        let pages = try pages(of: transaction)
        try confirmFormat(transaction)
        let version = version(of: transaction)
        guard version.device == cursor.version.device, version.inode == cursor.version.inode,
            version.boot == cursor.version.boot
        else { return .unusable(.otherFile) }
        guard version.transaction >= cursor.version.transaction else { return .unusable(.regressed) }
        let state: ChangeLogState
        switch try ChangeLogFound(transaction) {
        case .absent: return .unusable(.noLog)
        case .foreign, .damaged: return .unusable(.unreadable)
        case .state(let found): state = found
        }
        guard state.epoch == position.epoch else { return .unusable(.otherEpoch) }
        guard state.transaction == version.transaction else { return .unusable(.plainWriter) }
        guard position.sequence >= state.first else { return .unusable(.trimmed) }
        guard position.sequence < state.next else { return .unusable(.otherHistory) }
        guard let entries = try transaction.database(ChangeLog.entries) else { return .unusable(.unreadable) }
        var logged = LoggedChanges(cursor: CatalogCursor(version: version, log: state.position))
        var named: Set<ItemID> = []
        do {
            var walk = try transaction.cursor(entries)
            var record = try walk.seek(ChangeLog.key(position.sequence))
            guard let first = record.flatMap(ChangeLog.read), first.sequence == position.sequence else {
                return .unusable(.unreadable)
            }
            guard first.nonce == position.nonce else { return .unusable(.otherHistory) }
            var last = first
            record = try walk.next()
            while let found = record {
                guard let entry = ChangeLog.read(found), entry.sequence == last.sequence + 1 else {
                    return .unusable(.unreadable)
                }
                guard entry.kind != .gap else { return .unusable(.gap) }
                named.insert(ItemID(unchecked: Array(entry.id)))
                logged.entries += 1
                last = entry
                record = try walk.next()
            }
            guard last.sequence == state.next - 1, last.nonce == state.nonce else { return .unusable(.unreadable) }
        }
        logged.items = named.sorted()
        logged.digests.reserveCapacity(logged.items.count)
        for item in logged.items {
            logged.digests.append(try transaction.value(embeddings, item.bytes) { $0.map { Digest(of: $0) } })
        }
        try confirmGone(zip(logged.items, logged.digests).filter { $0.1 == nil }.map(\.0), in: pages)
        return .changes(logged)
    }

    /// Where the log stands in a snapshot; nil if it does not tell everything up to it.
    func position(in transaction: borrowing LMDBTransaction) throws -> LogPosition? {
        guard case .state(let state) = try ChangeLogFound(transaction), state.transaction == transaction.number else {
            return nil
        }
        return state.position
    }
}

/// What `letter catalog info` shows of a change log.
package struct ChangeLogSummary: Sendable {
    /// 32 hexadecimal digits.
    package var epoch: String
    /// Sequence numbers of the oldest entry and of the one that will come next.
    package var first: UInt64
    package var next: UInt64
    /// Bytes of all entries.
    package var bytes: UInt64
    /// Number of the last transaction that kept the log.
    package var transaction: UInt64
    /// Whether that is the catalog's last commit.
    package var isCurrent: Bool
}

extension CatalogReader {
    /// What the catalog's change log is like; nil if it has none that this version can read.
    package func changeLog() throws -> ChangeLogSummary? {
        let transaction = try LMDBTransaction(environment, readOnly: true)
        guard case .state(let state) = try ChangeLogFound(transaction) else { return nil }
        let digits = String(state.epoch, radix: 16)
        return ChangeLogSummary(
            epoch: String(repeating: "0", count: 32 - digits.count) + digits, first: state.first, next: state.next,
            bytes: state.bytes, transaction: state.transaction,
            isCurrent: state.transaction == transaction.number)
    }
}
