import Files
import Trie
import Core

/// What a chunk does to identifiers, in order: the records that the journal keeps of it, and the changes of the trie.
struct AssignmentRecord {
    private var writer = ByteWriter()
    /// The changes of the trie.
    private(set) var changes: [TrieChange] = []

    /// The records for the journal, as `AssignmentEvent` reads them.
    var bytes: [UInt8] { writer.bytes }

    /// An item got an identifier.
    ///
    /// - Parameters:
    ///   - bucket: its natural codes at that time.
    ///   - collision: how the collision was resolved, if there is a collision row for it.
    mutating func given(
        _ codes: Identifier, to item: ItemID, bucket: Identifier, collision: (rank: Int, rule: String)? = nil
    ) {
        begin(collision == nil ? .given : .decided, item, codes, bucket)
        if let collision {
            writer.append(UInt32(clamping: collision.rank))
            writer.append(UInt8(clamping: collision.rule.utf8.count))
            writer.append(contentsOf: collision.rule.utf8.prefix(255))
        }
        changes.append(TrieChange(codes, 1))
    }

    /// The natural codes of an item have become those of its identifier: its collision row is gone.
    mutating func explained(_ codes: Identifier, of item: ItemID) { begin(.explained, item, codes, codes) }

    /// An item's identifier became a tombstone, because the item was deleted or got another identifier.
    mutating func left(_ codes: Identifier, by item: ItemID, bucket: Identifier, isDeleted: Bool, since: Int) {
        begin(isDeleted ? .deleted : .replaced, item, codes, bucket)
        writer.append(Int64(since))
        changes.append(TrieChange(codes, -1))
    }

    /// A tombstone as it is now; `isDeleted` says whether it is the item's last identifier.
    mutating func stands(_ codes: Identifier, of item: ItemID, bucket: Identifier, isDeleted: Bool, since: Int) {
        begin(isDeleted ? .deletedBefore : .replacedBefore, item, codes, bucket)
        writer.append(Int64(since))
    }

    private mutating func begin(_ kind: AssignmentEvent.Kind, _ item: ItemID, _ codes: Identifier, _ bucket: Identifier)
    {
        writer.append(kind.rawValue)
        writer.append(UInt16(truncatingIfNeeded: item.bytes.count))
        writer.append(contentsOf: item.bytes)
        append(codes)
        // Nearly every identifier is the bucket itself.
        if bucket == codes { writer.append(UInt8.max) } else { append(bucket) }
    }

    private mutating func append(_ codes: Identifier) {
        writer.append(UInt8(codes.count))
        for level in 0..<codes.count { writer.append(codes[level]) }
    }
}

/// A record of the journal, read.
struct AssignmentEvent {
    enum Kind: UInt8 {
        /// The item got its natural codes, or an identifier without a collision row.
        case given = 1
        /// It got an identifier that a collision row explains.
        case decided = 2
        /// It was deleted; its identifier is a tombstone.
        case deleted = 3
        /// It got another identifier; this one is a tombstone.
        case replaced = 4
        /// Its natural codes have become those of its identifier.
        case explained = 5
        /// A tombstone of a deleted item, in a journal that was written from an index.
        case deletedBefore = 6
        /// A tombstone of an item that has another identifier by now, or left this one before it was deleted, in such a
        /// journal; elsewhere, of an item that was deleted, came back and found no free identifier.
        case replacedBefore = 7
    }

    var kind: Kind
    var item: ItemID
    var codes: Identifier
    var bucket: Identifier
    var rank = 0
    var rule = ""
    /// When a tombstone was made, milliseconds since 1970.
    var since = 0

    init(kind: Kind, item: ItemID, codes: Identifier, bucket: Identifier, rank: Int, rule: String) {
        self.kind = kind
        self.item = item
        self.codes = codes
        self.bucket = bucket
        self.rank = rank
        self.rule = rule
    }

    /// Reads the next record; nil if the bytes are not one.
    init?(_ reader: inout ByteReader) {
        guard let kind = reader.byte().flatMap(Kind.init), let length = reader.number(UInt16.self),
            let id = reader.bytes(Int(length)), let item = ItemID(id), let count = reader.byte(),
            let codes = Self.codes(count, &reader), let second = reader.byte()
        else { return nil }
        self.kind = kind
        self.item = item
        self.codes = codes
        if second == .max {
            bucket = codes
        } else {
            guard let codes = Self.codes(second, &reader) else { return nil }
            bucket = codes
        }
        if kind == .decided {
            guard let rank = reader.number(UInt32.self), let length = reader.byte(),
                let rule = reader.bytes(Int(length))
            else { return nil }
            self.rank = Int(rank)
            self.rule = String(decoding: rule, as: UTF8.self)
        }
        if [.deleted, .replaced, .deletedBefore, .replacedBefore].contains(kind) {
            guard let since = reader.number(Int64.self) else { return nil }
            self.since = Int(since)
        }
    }

    private static func codes(_ count: UInt8, _ reader: inout ByteReader) -> Identifier? {
        guard count <= Identifier.maximumLength else { return nil }
        var codes = Identifier()
        for _ in 0..<count {
            guard let code = reader.number(Code.self) else { return nil }
            codes.append(code)
        }
        return codes
    }
}
