import CXXHash
import Files
import Core

/// A trie as a file beside its index, so that it need not be read from the index at every start.
///
/// Little-endian: `LTRTRIE1`; the numbers of `Header`, eight bytes each; XXH3-64 of what comes before; the arrays `codes`,
/// `first`, `before`; XXH3-64 of the arrays. The file is of use only together with the index in the state that `tag`
/// names: whoever reads it gives the tag that the index has, and a file with another one is ignored.
package enum TrieFile {
    /// The state of an index: the number of its last commit, and a number drawn at random for it, so that the same commit
    /// of another past (a restored copy) is told apart.
    package struct Tag: Sendable, Hashable {
        package var commit: Int
        package var nonce: Int

        package init(commit: Int, nonce: Int) {
            self.commit = commit
            self.nonce = nonce
        }
    }

    private static let magic = Array("LTRTRIE1".utf8)
    private static let headerWords = 8 + Identifier.maximumLength
    /// Bytes read or written at a time.
    private static let block = 4 << 20

    /// Writes the trie of a snapshot to `path`, whole or not at all. O(nodes).
    package static func write(_ snapshot: TrieSnapshot, tag: Tag, to path: String) throws {
        let base = try snapshot.base.merged(with: snapshot.overlay)
        var header: [UInt64] = [
            UInt64(base.levels), UInt64(bitPattern: Int64(tag.commit)), UInt64(bitPattern: Int64(tag.nonce)),
            UInt64(base.codes.count), UInt64(base.first.count), UInt64(base.before.count), 0, 0,
        ]
        for level in 1...Identifier.maximumLength {
            header.append(UInt64(base.starts[min(level, base.levels)]))
        }
        var bytes = magic
        header.withUnsafeBytes { bytes.append(contentsOf: $0) }
        bytes.appendNumber(checksum(bytes[...], after: 0))
        try AtomicFile.write(path, name: .fixed) { file in
            try file.write(bytes)
            var sum: UInt64 = 0
            try write(base.codes, to: file, &sum)
            try write(base.first, to: file, &sum)
            try write(base.before, to: file, &sum)
            var end: [UInt8] = []
            end.appendNumber(sum)
            try file.write(end)
        }
    }

    /// The trie in the file at `path`. O(nodes).
    ///
    /// - Throws: `trie.bad_file` if it is damaged, or not of this state or number of levels; `FilesError`.
    package static func read(_ path: String, levels: Int, tag: Tag) throws -> TrieBase {
        func bad(_ what: String) -> TrieError {
            TrieError(.badFile, "\(path): \(what)", remedy: "It is made again from the index by itself.")
        }
        let file = try OpenFile(path, .read)
        let headerBytes = magic.count + headerWords * 8 + 8
        let size = try file.size()
        guard size >= headerBytes + 8 else { throw bad("the file is cut short") }
        let head = try file.read(at: 0, count: headerBytes)
        guard head.starts(with: magic), head.number(headerBytes - 8) == checksum(head.dropLast(8), after: 0) else {
            throw bad("the header is damaged")
        }
        let words = (0..<headerWords).map { head.number(magic.count + $0 * 8) }
        guard words[0] == UInt64(levels), words[1] == UInt64(bitPattern: Int64(tag.commit)),
            words[2] == UInt64(bitPattern: Int64(tag.nonce))
        else { throw bad("it is of another state of the index") }
        let counts = words[3...5].map { Int(clamping: $0) }
        let (bytes, overflow) = counts[0].multipliedReportingOverflow(by: 2)
        guard !overflow, counts.allSatisfy({ $0 < 1 << 33 }),
            size == headerBytes + bytes + 4 * (counts[1] + counts[2]) + 8
        else { throw bad("the file has the wrong size") }
        var (offset, sum) = (headerBytes, UInt64(0))
        let codes: [Code] = try read(file, counts[0], &offset, &sum)
        let first: [UInt32] = try read(file, counts[1], &offset, &sum)
        let before: [UInt32] = try read(file, counts[2], &offset, &sum)
        guard try file.read(at: offset, count: 8).number(0) == sum else { throw bad("the checksum is wrong") }
        let starts = [0] + words[8...].prefix(levels).map { Int(clamping: $0) }
        // What was summed is what was written; these sizes are what reading it relies on.
        guard starts[levels] == codes.count, first.count == starts[levels - 1] + 1,
            before.isEmpty || before.count == codes.count - starts[levels - 1] + 1
        else { throw bad("its parts do not fit each other") }
        return TrieBase(levels: levels, codes: codes, first: first, starts: starts, before: before)
    }

    private static func checksum(_ bytes: ArraySlice<UInt8>, after sum: UInt64) -> UInt64 {
        bytes.withUnsafeBytes { XXH3_64bits_withSeed($0.baseAddress, $0.count, sum) }
    }

    private static func write<Number: BitwiseCopyable>(
        _ numbers: [Number], to file: OpenFile, _ sum: inout UInt64
    ) throws {
        let perBlock = block / MemoryLayout<Number>.size
        for start in stride(from: 0, to: numbers.count, by: perBlock) {
            let part = numbers[start..<min(start + perBlock, numbers.count)]
            let bytes = part.withUnsafeBytes { Array($0) }
            sum = checksum(bytes[...], after: sum)
            try file.write(bytes)
        }
    }

    private static func read<Number: BitwiseCopyable>(
        _ file: OpenFile, _ count: Int, _ offset: inout Int, _ sum: inout UInt64
    ) throws -> [Number] {
        var numbers: [Number] = []
        numbers.reserveCapacity(count)
        let perBlock = block / MemoryLayout<Number>.size
        while numbers.count < count {
            let part = min(perBlock, count - numbers.count)
            let bytes = try file.read(at: offset, count: part * MemoryLayout<Number>.size)
            sum = checksum(bytes[...], after: sum)
            bytes.withUnsafeBytes { numbers.append(contentsOf: $0.bindMemory(to: Number.self)) }
            offset += bytes.count
        }
        return numbers
    }
}

extension [UInt8] {
    fileprivate mutating func appendNumber(_ number: UInt64) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    fileprivate func number(_ offset: Int) -> UInt64 {
        withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    }
}
