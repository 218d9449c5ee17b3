import CXXHash
import Files
import Core

/// A trie as a file next to its index, so that a start need not read every row of the index.
///
/// Little-endian: `LTRTRIE1`; the numbers of the header, eight bytes each; XXH3-64 of what comes before; the arrays
/// `codes`, `first`, `before`; XXH3-64 of the arrays. The file belongs to the index in one state, named by its tag: the
/// reader gives the tag of the index, and a file with another tag is ignored.
package enum TrieFile {
    /// A state of an index: the number of its last commit, and a random number drawn for that commit. The random number
    /// distinguishes the same commit of two histories, of which one is that of a restored copy.
    package struct Tag: Sendable, Hashable {
        /// Number of the commit.
        package var commit: Int
        /// The random number.
        package var nonce: Int

        /// The tag of a commit.
        package init(commit: Int, nonce: Int) {
            self.commit = commit
            self.nonce = nonce
        }
    }

    private static let magic = Array("LTRTRIE1".utf8)
    /// Numbers in the header: levels, commit, nonce, the lengths of the three arrays, two that are not used, and where
    /// each level ends.
    private static let headerWords = 8 + Identifier.maximumLength
    private static let headerBytes = magic.count + headerWords * 8 + 8
    /// Bytes read or written at a time.
    private static let block = 4 << 20

    /// Writes the trie of a snapshot to `path`, replacing what is there atomically. O(nodes).
    ///
    /// - Throws: `FilesError`; `trie.wrong_order` if the snapshot contradicts itself.
    package static func write(_ snapshot: TrieSnapshot, tag: Tag, to path: String) throws {
        let base = try snapshot.base.merged(with: snapshot.overlay)
        var header = ByteWriter(capacity: headerBytes)
        header.append(contentsOf: magic)
        for number in [base.levels, tag.commit, tag.nonce, base.codes.count, base.first.count, base.before.count, 0, 0]
        {
            header.append(Int64(number))
        }
        for level in 1...Identifier.maximumLength { header.append(Int64(base.starts[min(level, base.levels)])) }
        header.append(checksum(header.bytes[...], after: 0))
        try AtomicFile.write(path, name: .fixed) { file in
            try file.write(header.bytes)
            var sum: UInt64 = 0
            try write(base.codes, to: file, &sum)
            try write(base.first, to: file, &sum)
            try write(base.before, to: file, &sum)
            var end = ByteWriter()
            end.append(sum)
            try file.write(end.bytes)
        }
    }

    /// The trie in the file at `path`. O(nodes).
    ///
    /// - Throws: `trie.bad_file` if it is damaged, or belongs to another state or number of levels; `FilesError`.
    package static func read(_ path: String, levels: Int, tag: Tag) throws -> TrieBase {
        func bad(_ what: String) -> TrieError {
            TrieError(.badFile, "\(path): \(what)", remedy: "It is written again from the index automatically.")
        }
        let file = try OpenFile(path, .read)
        let size = try file.size()
        guard size >= headerBytes + 8 else { throw bad("the file is truncated") }
        let head = try file.read(at: 0, count: headerBytes)
        var reader = ByteReader(head, at: magic.count)
        let words = (0..<headerWords).map { _ in Int(truncatingIfNeeded: reader.number(Int64.self) ?? 0) }
        guard head.starts(with: magic), reader.number() == checksum(head.dropLast(8), after: 0) else {
            throw bad("the header is damaged")
        }
        guard words[0] == levels, words[1] == tag.commit, words[2] == tag.nonce else {
            throw bad("it belongs to another state of the index")
        }
        let counts = words[3...5]
        // Checked before anything is allocated; the bound keeps the sum below from overflowing.
        guard counts.allSatisfy({ (0..<1 << 33).contains($0) }),
            size == headerBytes + 2 * words[3] + 4 * (words[4] + words[5]) + 8
        else { throw bad("the file has the wrong size") }
        var (offset, sum) = (headerBytes, UInt64(0))
        let codes: [Code] = try read(file, words[3], &offset, &sum)
        let first: [UInt32] = try read(file, words[4], &offset, &sum)
        let before: [UInt32] = try read(file, words[5], &offset, &sum)
        var end = ByteReader(try file.read(at: offset, count: 8))
        guard end.number() == sum else { throw bad("the checksum is wrong") }
        let starts = [0] + words[8...].prefix(levels)
        // The checksum shows that these arrays were written, not that they were a trie when they were; reading one relies
        // on what is checked here.
        if let fault = TrieBase.fault(levels: levels, codes: codes, first: first, starts: starts, before: before) {
            throw bad(fault)
        }
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
            let bytes = numbers[start..<min(start + perBlock, numbers.count)].withUnsafeBytes { Array($0) }
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
            let more = min(perBlock, count - numbers.count)
            let bytes = try file.read(at: offset, count: more * MemoryLayout<Number>.size)
            sum = checksum(bytes[...], after: sum)
            bytes.withUnsafeBytes { numbers.append(contentsOf: $0.bindMemory(to: Number.self)) }
            offset += bytes.count
        }
        return numbers
    }
}
