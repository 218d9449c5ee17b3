import Trie
import Core

/// What a chunk does to identifiers, in order: what the journal keeps of it, and what it changes in the trie.
struct AssignmentRecord {
    /// The records of the journal, see `AssignmentJournal`.
    private(set) var bytes: [UInt8] = []
    /// The changes of the trie.
    private(set) var changes: [TrieChange] = []

    /// An item got an identifier.
    ///
    /// - Parameters:
    ///   - bucket: its natural codes when it got it.
    ///   - collision: how it was decided that it got others than those, if there is a row that says so.
    mutating func given(
        _ codes: Identifier, to item: ItemID, bucket: Identifier, collision: (rank: Int, rule: String)? = nil
    ) {
        begin(collision == nil ? .given : .decided, item, codes, bucket)
        if let collision {
            append(number: UInt32(clamping: collision.rank))
            bytes.append(UInt8(clamping: collision.rule.utf8.count))
            bytes.append(contentsOf: collision.rule.utf8.prefix(255))
        }
        changes.append(TrieChange(codes, 1))
    }

    /// What an item has are its natural codes by now: no decision is needed to explain them any more.
    mutating func explained(_ codes: Identifier, of item: ItemID) { begin(.explained, item, codes, codes) }

    /// An item's identifier became a tombstone, because it was deleted or because it was given another one.
    mutating func left(_ codes: Identifier, by item: ItemID, bucket: Identifier, isDeleted: Bool, since: Int) {
        begin(isDeleted ? .deleted : .replaced, item, codes, bucket)
        append(number: Int64(since))
        changes.append(TrieChange(codes, -1))
    }

    /// A tombstone as it stands; for a journal that is written anew.
    mutating func stands(_ codes: Identifier, of item: ItemID, bucket: Identifier, isDeleted: Bool, since: Int) {
        begin(isDeleted ? .deletedBefore : .replacedBefore, item, codes, bucket)
        append(number: Int64(since))
    }

    private mutating func begin(_ kind: AssignmentEvent.Kind, _ item: ItemID, _ codes: Identifier, _ bucket: Identifier)
    {
        bytes.append(kind.rawValue)
        append(number: UInt16(truncatingIfNeeded: item.bytes.count))
        bytes.append(contentsOf: item.bytes)
        append(codes)
        // Nearly every identifier is the bucket itself.
        if bucket == codes { bytes.append(.max) } else { append(bucket) }
    }

    private mutating func append(_ codes: Identifier) {
        bytes.append(UInt8(codes.count))
        for level in 0..<codes.count { append(number: codes[level]) }
    }

    private mutating func append(number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
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
        /// The identifier that it has are its natural codes by now.
        case explained = 5
        /// A tombstone of a deleted item, in a journal that was written anew.
        case deletedBefore = 6
        /// A tombstone of an item that has another identifier by now, or is deleted, in such a journal.
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

    /// Reads the record at `position` and moves past it; nil if there is none there that can be read.
    init?(_ bytes: ArraySlice<UInt8>, at position: inout Int) {
        var reader = Reader(bytes: bytes, position: position)
        guard let kind = reader.byte().flatMap(Kind.init), let length = reader.number(UInt16.self),
            let id = reader.bytes(Int(length)), let item = ItemID(id), let count = reader.byte(),
            let codes = reader.codes(count), let second = reader.byte()
        else { return nil }
        self.kind = kind
        self.item = item
        self.codes = codes
        if second == .max {
            bucket = codes
        } else {
            guard let codes = reader.codes(second) else { return nil }
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
            guard let since = reader.number(UInt64.self) else { return nil }
            self.since = Int(truncatingIfNeeded: since)
        }
        position = reader.position
    }

    private struct Reader {
        let bytes: ArraySlice<UInt8>
        var position: Int

        mutating func byte() -> UInt8? {
            guard position < bytes.endIndex else { return nil }
            defer { position += 1 }
            return bytes[position]
        }

        mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
            guard count <= bytes.endIndex - position else { return nil }
            defer { position += count }
            return bytes[position..<(position + count)]
        }

        mutating func number<Number: FixedWidthInteger>(_: Number.Type) -> Number? {
            bytes(MemoryLayout<Number>.size)?.reversed().reduce(0) { $0 << 8 | Number($1) }
        }

        mutating func codes(_ count: UInt8) -> Identifier? {
            guard count <= Identifier.maximumLength else { return nil }
            var codes = Identifier()
            for _ in 0..<count {
                guard let code = number(Code.self) else { return nil }
                codes.append(code)
            }
            return codes
        }
    }
}
