import CXXHash
import Files
import Core

/// Where a frame of the journal is, and the commit that wrote it.
struct JournalPosition: Hashable, Sendable {
    var commit: IndexCommit
    var start: Int
    var end: Int
}

/// A frame that was read.
struct JournalFrame {
    var position: JournalPosition
    /// Milliseconds since 1970.
    var time: Int
    /// Records; see `AssignmentRecord`.
    var records: [UInt8]
}

/// The format of a journal.
///
/// The header: `LTRJNL01`, eight bytes that name the index, sixteen with its collision policy. Then frames: `LTFR`, length
/// of the records, number of the commit, the random number of the commit, milliseconds since 1970, the records, XXH3-64 of
/// all that. Numbers are little-endian.
enum JournalFormat {
    static let magic = Array("LTRJNL01".utf8)
    static let headerBytes = 32
    private static let policyBytes = 16..<32
    private static let frameMagic: UInt32 = 0x5246_544C
    /// Bytes of a frame before and after its records.
    private static let frameHead = 4 + 4 + 8 + 8 + 8
    private static let frameTail = 8

    // MARK: - Writing

    static func header(of identity: IndexIdentity) -> [UInt8] {
        var header = ByteWriter(capacity: headerBytes)
        header.append(contentsOf: magic)
        header.append(fingerprint(of: identity))
        header.append(contentsOf: identity.policy.rawValue.utf8)
        header.append(contentsOf: repeatElement(0, count: headerBytes - header.bytes.count))
        return header.bytes
    }

    static func frame(_ records: [UInt8], commit: IndexCommit, time: Int) -> [UInt8] {
        var frame = ByteWriter(capacity: frameHead + records.count + frameTail)
        frame.append(frameMagic)
        frame.append(UInt32(truncatingIfNeeded: records.count))
        frame.append(Int64(commit.number))
        frame.append(Int64(commit.nonce))
        frame.append(Int64(time))
        frame.append(contentsOf: records)
        frame.append(checksum(frame.bytes[...]))
        return frame.bytes
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }
    }

    /// What a journal's header names its index by.
    private static func fingerprint(of identity: IndexIdentity) -> UInt64 {
        checksum(Array("\(identity.generation) \(identity.model)".utf8)[...])
    }

    // MARK: - Reading

    /// The frame at `offset` of a file of `size` bytes; nil if there is no complete one.
    static func frame(of file: OpenFile, at offset: Int, size: Int) throws -> JournalFrame? {
        guard offset >= headerBytes, size - offset >= frameHead + frameTail else { return nil }
        var head = ByteReader(try file.read(at: offset, count: frameHead))
        guard head.number() == frameMagic, let length = head.number(UInt32.self).map(Int.init),
            length <= size - offset - frameHead - frameTail
        else { return nil }
        let whole = try file.read(at: offset, count: frameHead + length + frameTail)
        var reader = ByteReader(whole, at: 8)
        guard let number = reader.number(Int64.self), let nonce = reader.number(Int64.self),
            let time = reader.number(Int64.self), let records = reader.bytes(length),
            reader.number() == checksum(whole.dropLast(frameTail))
        else { return nil }
        let commit = IndexCommit(number: Int(number), nonce: Int(nonce))
        return JournalFrame(
            position: JournalPosition(commit: commit, start: offset, end: offset + whole.count), time: Int(time),
            records: Array(records))
    }

    /// Calls `body` with the frames from `offset` on, for as long as they are complete and `body` returns true.
    ///
    /// - Parameter identity: the index that the journal must belong to; nil: any.
    /// - Returns: whether the last frame ends where the file does; false too for the journal of another index.
    @discardableResult
    static func read(
        _ file: OpenFile, of identity: IndexIdentity?, from offset: Int = headerBytes,
        _ body: (JournalFrame) throws -> Bool
    ) throws -> Bool {
        let size = try file.size()
        guard size >= headerBytes else { return false }
        let head = try file.read(at: 0, count: headerBytes)
        var reader = ByteReader(head, at: magic.count)
        guard head.starts(with: magic), identity.map({ reader.number() == fingerprint(of: $0) }) ?? true else {
            return false
        }
        var offset = offset
        while let frame = try frame(of: file, at: offset, size: size) {
            guard try body(frame) else { return false }
            offset = frame.position.end
        }
        return offset == size
    }

    /// The collision policy of the index that a journal belongs to; nil if it cannot be read.
    static func policy(_ path: String) -> CollisionPolicy? {
        guard let file = try? OpenFile(path, .read), let head = try? file.read(at: 0, count: headerBytes),
            head.starts(with: magic)
        else { return nil }
        return CollisionPolicy(rawValue: String(decoding: head[policyBytes].prefix { $0 != 0 }, as: UTF8.self))
    }
}
