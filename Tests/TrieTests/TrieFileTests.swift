import Foundation
import TestSupport
import Testing
import Core

@testable import Trie

@Suite("The trie's file")
struct TrieFileTests {
    let folder = TemporaryDirectory()
    var path: String { folder["index.trie"] }
    let tag = TrieFile.Tag(commit: 5, nonce: 77)

    private func snapshot(most: Int) throws -> TrieSnapshot {
        var random = SeededGenerator(seed: UInt64(most))
        var model = TrieModel(levels: 3)
        for _ in 0..<500 {
            model.items[TrieModel.identifier(3, 20, using: &random)] = Int.random(in: 1...most, using: &random)
        }
        let overlay = TrieOverlay(levels: 3).adding([TrieChange([30, 30, 30], 1)])
        return TrieSnapshot(base: try model.base(), overlay: overlay, commit: 5)
    }

    @Test(arguments: [1, 4]) func `what was written is read, changes included`(most: Int) throws {
        let snapshot = try snapshot(most: most)
        try TrieFile.write(snapshot, tag: tag, to: path)
        let base = try TrieFile.read(path, levels: 3, tag: tag)
        var (written, read): ([Identifier: Int], [Identifier: Int]) = ([:], [:])
        try snapshot.forEach { written[$0] = $1 }
        base.forEach { read[$0] = $1 }
        #expect(read == written)
        #expect(base.items == snapshot.items)
    }

    @Test func `a file of another state is ignored`() throws {
        try TrieFile.write(try snapshot(most: 1), tag: tag, to: path)
        for other in [TrieFile.Tag(commit: 4, nonce: 77), TrieFile.Tag(commit: 5, nonce: 78)] {
            #expect(throws: TrieError.self) { try TrieFile.read(path, levels: 3, tag: other) }
        }
        #expect(throws: TrieError.self) { try TrieFile.read(path, levels: 4, tag: tag) }
        #expect(throws: (any Error).self) { try TrieFile.read(path + "x", levels: 3, tag: tag) }
    }

    /// Arrays that are not a trie, in a file whose checksums are right: what only a defect or memory damage can write.
    @Test(
        arguments: [
            ("sizes", [1, 2, 5, 6], [2, 4, 4], [0, 2, 4], []), ("starts", [1, 2, 5, 6], [3, 3, 4], [0, 2, 4], []),
            ("no children", [1, 2, 5, 6], [2, 2, 4], [0, 2, 4], []),
            ("siblings", [2, 1, 5, 6], [2, 3, 4], [0, 2, 4], []),
            ("siblings", [1, 2, 6, 5], [2, 4, 4], [0, 1, 4], []),
            ("items", [1, 2, 5, 6], [2, 3, 4], [0, 2, 4], [0, 1, 1]),
            ("items", [1, 2, 5, 6], [2, 3, 4], [0, 2, 4], [1, 2, 3]),
            ("end", [1, 2, 5, 6], [2, 3, 5], [0, 2, 4], []),
        ] as [(String, [Code], [UInt32], [Int], [UInt32])])
    func `arrays that are not a trie are refused`(
        what: String, codes: [Code], first: [UInt32], starts: [Int], before: [UInt32]
    ) throws {
        let broken = TrieBase(levels: 2, codes: codes, first: first, starts: starts, before: before)
        try TrieFile.write(TrieSnapshot(counting: broken), tag: tag, to: path)
        let error = #expect(throws: TrieError.self, "\(what)") { try TrieFile.read(path, levels: 2, tag: tag) }
        #expect(error?.reason == .badFile)
        // The negative control: these arrays are one.
        let whole = TrieBase(levels: 2, codes: [1, 2, 5, 6], first: [2, 3, 4], starts: [0, 2, 4], before: [0, 1, 3])
        try TrieFile.write(TrieSnapshot(counting: whole), tag: tag, to: path)
        #expect(try TrieFile.read(path, levels: 2, tag: tag).items == 3)
    }

    @Test func `a damaged file is ignored, whichever byte it is`() throws {
        try TrieFile.write(try snapshot(most: 3), tag: tag, to: path)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        var random = SeededGenerator(seed: 1)
        for number in 0..<400 {
            var bytes = whole
            if number % 4 == 0 {
                bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
            } else {
                let position = number < 200 ? number : Int.random(in: 0..<bytes.count, using: &random)
                bytes[position] ^= UInt8.random(in: 1...255, using: &random)
            }
            try bytes.write(to: URL(fileURLWithPath: path))
            #expect(throws: TrieError.self, "mutation \(number)") { try TrieFile.read(path, levels: 3, tag: tag) }
        }
    }
}

#if LETTER_INTERNAL_CHECKS
    @Suite("Internal checks of the trie")
    struct TrieInternalChecksTests {
        @Test func `a base that contradicts itself ends the process`() async {
            await #expect(processExitsWith: .failure) {
                TrieBase(levels: 2, codes: [2, 1, 5, 6], first: [2, 3, 4], starts: [0, 2, 4], before: [])
                    ._checkInvariants()
            }
            await #expect(processExitsWith: .success) {
                TrieBase(levels: 2, codes: [1, 2, 5, 6], first: [2, 3, 4], starts: [0, 2, 4], before: [])
                    ._checkInvariants()
            }
        }

        @Test func `an overlay of another length than its base ends the process`() async {
            await #expect(processExitsWith: .failure) {
                TrieSnapshot(base: TrieBase(levels: 2), overlay: TrieOverlay(levels: 3), commit: 1)._checkInvariants()
            }
        }
    }
#endif
