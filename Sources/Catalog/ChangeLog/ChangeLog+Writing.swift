import Core

/// What one write transaction will add to the change log: gathered while it runs, written just before it commits.
struct PendingLog {
    private let limits: ChangeLogLimits
    private var kinds: [ChangeLog.Kind] = []
    /// Ids one behind another, and where each ends.
    private var ids: [UInt8] = []
    private var ends: [Int] = []
    /// Whether the transaction wrote anything at all; one that did not is no commit and must leave no trace.
    private var isTouched = false
    /// Whether it wrote more than the log may hold.
    private var isTooLarge = false

    init(limits: ChangeLogLimits) { self.limits = limits }

    /// Bytes of an entry apart from the id.
    private static let overhead = 8 + ChangeLog.prefixLength

    /// Notes that something was written that the log does not tell of.
    mutating func touch() { isTouched = true }

    /// Notes that an item's embedding was put or deleted. Amortised O(length of the id).
    mutating func note(_ kind: ChangeLog.Kind, _ id: [UInt8]) {
        isTouched = true
        guard !isTooLarge else { return }
        kinds.append(kind)
        ids.append(contentsOf: id)
        ends.append(ids.count)
        if kinds.count > limits.entries || ids.count + kinds.count * Self.overhead > limits.bytes {
            isTooLarge = true
            (kinds, ids, ends) = ([], [], [])
        }
    }

    /// Writes the entries and the state. O(entries · log n), and as much again for the old entries it drops.
    ///
    /// - Throws: `MapFull`, `CatalogError`.
    func write(into transaction: borrowing LMDBTransaction) throws {
        guard isTouched else { return }
        let found = try ChangeLogFound(transaction)
        // A later version's log: whoever reads it sees that a writer came that did not keep it.
        if case .foreign = found { return }
        guard let meta = try transaction.database(ChangeLog.meta, create: true),
            let entries = try transaction.database(ChangeLog.entries, create: true)
        else { return }
        let number = transaction.number
        var state: ChangeLogState
        let isComplete: Bool
        if case .state(let known) = found, try Self.holds(known, transaction, entries) {
            state = known
            isComplete = known.transaction &+ 1 == number && !isTooLarge
        } else {
            try transaction.clear(entries)
            state = ChangeLogState(epoch: .random(in: .min ... .max))
            isComplete = false
            try transaction.put(meta, key: ChangeLog.formatKey, value: Array(ChangeLog.format.utf8))
        }
        let own = state.next
        if !isComplete {
            // What came before this entry is not told, so its transaction's own changes need not be either.
            state.nonce = .random(in: .min ... .max)
            try append(.gap, [], to: &state, transaction, entries)
        } else if !kinds.isEmpty {
            state.nonce = .random(in: .min ... .max)
            var start = 0
            for (kind, end) in zip(kinds, ends) {
                try append(kind, ids[start..<end], to: &state, transaction, entries)
                start = end
            }
        }
        state.transaction = number
        while state.first < own,
            state.next - state.first > UInt64(limits.entries) || state.bytes > UInt64(limits.bytes)
        {
            let key = ChangeLog.key(state.first)
            let size = try transaction.value(entries, key) { $0.map { UInt64(key.count + $0.count) } ?? 0 }
            _ = try transaction.delete(entries, key)
            state.bytes -= min(state.bytes, size)
            state.first += 1
        }
        try transaction.put(meta, key: ChangeLog.stateKey, value: state.encoded)
    }

    private func append(
        _ kind: ChangeLog.Kind, _ id: some Collection<UInt8>, to state: inout ChangeLogState,
        _ transaction: borrowing LMDBTransaction, _ entries: LMDBDatabase
    ) throws {
        let value = ChangeLog.value(kind, nonce: state.nonce, id: id)
        try transaction.put(entries, key: ChangeLog.key(state.next), value: value, append: true)
        state.next += 1
        state.bytes += UInt64(8 + value.count)
    }

    /// Whether the log begins and ends where its state says; if not, somebody else wrote into it.
    private static func holds(
        _ state: ChangeLogState, _ transaction: borrowing LMDBTransaction, _ entries: LMDBDatabase
    ) throws -> Bool {
        var cursor = try transaction.cursor(entries)
        guard let first = try cursor.next().flatMap(ChangeLog.read), first.sequence == state.first,
            let last = try cursor.last().flatMap(ChangeLog.read)
        else { return false }
        return last.sequence == state.next - 1 && last.nonce == state.nonce
    }
}
