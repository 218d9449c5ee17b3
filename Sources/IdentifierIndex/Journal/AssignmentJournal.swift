import CXXHash
import Files
import SQLiteStore
import Synchronization
import Core

/// The record, outside the database, of who was given which identifier: `index.journal` beside `index.sqlite`.
///
/// From it alone an index can be made again in which every live identifier is what it was and no tombstone is lost. A
/// chunk's records are on the disk before its transaction commits, so the journal never lacks what was answered; what it
/// has too much after a crash is one chunk, which is cut off at the next start.
///
/// `LTRJNL01`, eight bytes that name the index, sixteen with its collision policy, then frames: `LTFR`, length of the records, commit, a number drawn at
/// random for the commit, milliseconds since 1970, the records, XXH3-64 of all that. Numbers are little-endian.
final class AssignmentJournal: Sendable {
    /// Where a frame is, and the commit that it belongs to.
    struct Position: Hashable, Sendable {
        var commit: Int
        var nonce: Int
        var start: Int
        var end: Int
    }

    /// A frame that was read.
    struct Frame {
        var position: Position
        /// Milliseconds since 1970.
        var time: Int
        var records: [UInt8]
    }

    let path: String
    private let file: OpenFile
    /// Where the frames of commits end. What is after it belongs to no commit.
    private let end: Mutex<Int>

    static let magic = Array("LTRJNL01".utf8)
    static let headerBytes = 32
    private static let policyBytes = 16..<32
    private static let frameMagic: UInt32 = 0x5246_544C
    /// Bytes of a frame before and after its records.
    private static let frameHead = 4 + 4 + 8 + 8 + 8
    private static let frameTail = 8
    /// Records of a frame when a journal is written anew.
    static let blockBytes = 1 << 20

    /// The journal at `path` whose last frame ends at `end`.
    init(path: String, end: Int) throws {
        self.path = path
        self.end = Mutex(end)
        file = try OpenFile(path, .update)
    }

    /// Bytes up to the last commit's frame.
    var size: Int { end.withLock { $0 } }

    /// Adds a frame, on the disk when this returns. It counts once `confirm` was called with its position.
    ///
    /// - Throws: `StoreError`: `disk_full`, `io`. What was written of it is cut off again, now or before the next one.
    func append(_ records: [UInt8], commit: Int, nonce: Int, time: Int) throws -> Position {
        let start = size
        let frame = Self.frame(records, commit: commit, nonce: nonce, time: time)
        do {
            // Frames of commits that did not happen are longer or shorter than this one.
            try file.truncate(to: start)
            try file.write(frame, at: start)
            try file.sync()
        } catch {
            try? file.truncate(to: start)
            throw StoreError(error, path: path)
        }
        return Position(commit: commit, nonce: nonce, start: start, end: start + frame.count)
    }

    /// The commit of a frame has happened.
    func confirm(_ position: Position) { end.withLock { $0 = position.end } }

    /// Cuts off what belongs to no commit.
    func cutOff() throws {
        do {
            if try file.size() > size {
                try file.truncate(to: size)
                try file.sync()
            }
        } catch {
            throw StoreError(error, path: path)
        }
    }

    // MARK: - Reading

    /// The frame at `offset`; nil if there is no whole one.
    static func frame(of file: OpenFile, at offset: Int, size: Int) throws -> Frame? {
        guard size - offset >= frameHead + frameTail else { return nil }
        let head = try file.read(at: offset, count: frameHead)
        let length = Int(head.number(4, UInt32.self))
        guard head.number(0, UInt32.self) == frameMagic, length <= size - offset - frameHead - frameTail else {
            return nil
        }
        let whole = try file.read(at: offset, count: frameHead + length + frameTail)
        guard whole.number(frameHead + length, UInt64.self) == checksum(whole.dropLast(frameTail)) else { return nil }
        return Frame(
            position: Position(
                commit: Int(truncatingIfNeeded: whole.number(8, UInt64.self)),
                nonce: Int(truncatingIfNeeded: whole.number(16, UInt64.self)), start: offset,
                end: offset + whole.count),
            time: Int(truncatingIfNeeded: whole.number(24, UInt64.self)),
            records: Array(whole[frameHead..<(frameHead + length)]))
    }

    /// Reads frames from `offset` on as long as they are whole.
    ///
    /// - Returns: whether the last one ends where the file does.
    static func read(
        _ path: String, fingerprint: UInt64?, from offset: Int = headerBytes, _ body: (Frame) throws -> Void
    ) throws -> Bool {
        let file = try OpenFile(path, .read)
        let size = try file.size()
        guard size >= headerBytes else { return false }
        let head = try file.read(at: 0, count: headerBytes)
        guard head.starts(with: magic), fingerprint.map({ head.number(8, UInt64.self) == $0 }) ?? true else {
            return false
        }
        var offset = offset
        while let frame = try frame(of: file, at: offset, size: size) {
            try body(frame)
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

    // MARK: - Writing anew

    /// Writes a journal to `path`, whole or not at all: `fill` gives it the records of one frame after another.
    ///
    /// - Returns: the position of its last frame; it has at least one.
    static func write(
        _ path: String, fingerprint: UInt64, policy: CollisionPolicy, commit: Int, nonce: Int, time: Int,
        _ fill: ((AssignmentRecord) throws -> Void) throws -> Void
    ) throws -> Position {
        do {
            let new = try AtomicFile(path, name: .fixed)
            let file = try new.create()
            var header = magic
            header.append(number: fingerprint)
            header.append(contentsOf: policy.rawValue.utf8)
            header.append(contentsOf: repeatElement(0, count: headerBytes - header.count))
            try file.write(header)
            var position = Position(commit: commit, nonce: nonce, start: headerBytes, end: headerBytes)
            func append(_ records: [UInt8]) throws {
                let frame = frame(records, commit: commit, nonce: nonce, time: time)
                try file.write(frame)
                position.start = position.end
                position.end += frame.count
            }
            try fill { try append($0.bytes) }
            if position.end == headerBytes { try append([]) }
            try new.publish()
            return position
        } catch {
            throw error is FilesError ? StoreError(error, path: path) : error
        }
    }

    private static func frame(_ records: [UInt8], commit: Int, nonce: Int, time: Int) -> [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(frameHead + records.count + frameTail)
        frame.append(number: frameMagic)
        frame.append(number: UInt32(truncatingIfNeeded: records.count))
        frame.append(number: UInt64(truncatingIfNeeded: commit))
        frame.append(number: UInt64(truncatingIfNeeded: nonce))
        frame.append(number: UInt64(truncatingIfNeeded: time))
        frame.append(contentsOf: records)
        frame.append(number: checksum(frame[...]))
        return frame
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }
    }

    /// What a journal's header names its index by.
    static func fingerprint(generation: Int, model: String) -> UInt64 {
        checksum(Array("\(generation) \(model)".utf8)[...])
    }
}

extension [UInt8] {
    fileprivate mutating func append(number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    fileprivate func number<Number: FixedWidthInteger>(_ offset: Int, _: Number.Type) -> Number {
        withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self)) }
    }
}
