import Core

/// The change log that cooperating writers keep in a catalog, specified in Schema/catalog.md.
///
/// `letter.log` has an entry for every record of `embeddings` that was put or deleted, `letter.meta` says how far it
/// goes. Both are written in the transaction that they tell of.
enum ChangeLog {
    /// The value of `format` that this version reads and writes.
    static let format = "letter-log/1"
    static let entries = "letter.log"
    static let meta = "letter.meta"
    static let formatKey = Array("format".utf8)
    static let stateKey = Array("state".utf8)

    /// What an entry tells.
    enum Kind: UInt8 {
        /// An item's embedding was put.
        case put = 0x50
        /// An item's embedding was deleted.
        case delete = 0x44
        /// The log does not tell what was done up to the end of this entry's transaction.
        case gap = 0x47
    }

    /// Bytes of an entry's value before the item id: the kind and the nonce.
    static let prefixLength = 9

    /// The key of an entry.
    static func key(_ sequence: UInt64) -> [UInt8] { withUnsafeBytes(of: sequence.bigEndian) { Array($0) } }

    /// The value of an entry.
    static func value(_ kind: Kind, nonce: UInt64, id: some Collection<UInt8>) -> [UInt8] {
        var value = [kind.rawValue]
        value.reserveCapacity(prefixLength + id.count)
        withUnsafeBytes(of: nonce.bigEndian) { value.append(contentsOf: $0) }
        value.append(contentsOf: id)
        return value
    }

    /// An entry's bytes read; nil if they are no entry.
    static func read(
        _ record: LMDBCursor.Record
    ) -> (sequence: UInt64, kind: Kind, nonce: UInt64, id: UnsafeRawBufferPointer)? {
        guard record.key.count == 8, record.value.count >= prefixLength, let kind = Kind(rawValue: record.value[0]),
            (record.value.count == prefixLength) == (kind == .gap)
        else { return nil }
        return (
            UInt64(bigEndian: record.key.loadUnaligned(as: UInt64.self)), kind,
            UInt64(bigEndian: record.value.loadUnaligned(fromByteOffset: 1, as: UInt64.self)),
            UnsafeRawBufferPointer(rebasing: record.value[prefixLength...])
        )
    }
}

/// How much of a log a writer keeps: of the oldest entries, those beyond either bound are dropped.
package struct ChangeLogLimits: Sendable, Hashable {
    /// Most entries. A transaction that writes more leaves a gap instead.
    package var entries = 1 << 18
    /// Most bytes of keys and values.
    package var bytes = 32 << 20

    /// - Precondition: both are above zero.
    package init(entries: Int = 1 << 18, bytes: Int = 32 << 20) {
        precondition(entries > 0 && bytes > 0)
        self.entries = entries
        self.bytes = bytes
    }
}

/// The record `state` of `letter.meta`: 56 bytes, all numbers big-endian, in this order.
struct ChangeLogState: Hashable, Sendable {
    /// Drawn at random when the log was begun.
    var epoch: UInt128
    /// Sequence numbers of the oldest entry and of the one that will come next; first < next.
    var first: UInt64
    var next: UInt64
    /// Number of the last transaction that kept the log.
    var transaction: UInt64
    /// What the transaction of the last entry drew at random.
    var nonce: UInt64
    /// Bytes of all entries' keys and values.
    var bytes: UInt64

    static let byteCount = 56

    init(epoch: UInt128) {
        self.epoch = epoch
        (first, next, transaction, nonce, bytes) = (1, 1, 0, 0, 0)
    }

    /// Reads a record; nil if it is none.
    init?(_ record: UnsafeRawBufferPointer) {
        guard record.count == Self.byteCount else { return nil }
        func number(_ offset: Int) -> UInt64 {
            UInt64(bigEndian: record.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        epoch = UInt128(number(0)) << 64 | UInt128(number(8))
        (first, next, transaction, nonce, bytes) = (number(16), number(24), number(32), number(40), number(48))
        guard first < next else { return nil }
    }

    /// The record.
    var encoded: [UInt8] {
        var record = withUnsafeBytes(of: epoch.bigEndian) { Array($0) }
        for number in [first, next, transaction, nonce, bytes] {
            withUnsafeBytes(of: number.bigEndian) { record.append(contentsOf: $0) }
        }
        return record
    }

    /// The place after the last entry.
    var position: LogPosition { LogPosition(epoch: epoch, sequence: next - 1, nonce: nonce) }
}

/// What `letter.meta` says.
enum ChangeLogFound {
    case absent
    /// Of a format that this version does not know.
    case foreign(String)
    /// It has this format's name, and no state that can be read.
    case damaged
    case state(ChangeLogState)

    /// Reads it in a transaction. O(1).
    init(_ transaction: borrowing LMDBTransaction) throws {
        guard let meta = try transaction.database(ChangeLog.meta) else {
            self = .absent
            return
        }
        let format = try transaction.value(meta, ChangeLog.formatKey) { bytes in
            bytes.map { String(decoding: $0, as: UTF8.self) }
        }
        if let format, format != ChangeLog.format {
            self = .foreign(format)
            return
        }
        let state = try transaction.value(meta, ChangeLog.stateKey) { bytes in bytes.flatMap { ChangeLogState($0) } }
        if format != nil, let state { self = .state(state) } else { self = .damaged }
    }
}
