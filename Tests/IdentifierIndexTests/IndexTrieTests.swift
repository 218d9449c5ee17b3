import Foundation
import Synchronization
import TestSupport
import Testing
import Trie
import Core

@testable import IdentifierIndex

@Suite("The trie in memory")
struct IndexTrieTests {
    /// Compares what the trie in memory answers with what the database answers, on all prefixes of up to three codes.
    private func compare(_ index: IdentifierIndex, codes: Int, _ comment: Comment) throws {
        let trie = try #require(index.trie, comment)
        var prefixes: [Identifier] = [[]]
        for first in 0..<codes {
            prefixes.append([Code(first)])
            for second in 0..<codes {
                prefixes.append([Code(first), Code(second)])
                prefixes.append([Code(first), Code(second), 1])
            }
        }
        let stored = try index.storedSuccessors(of: prefixes)
        let inMemory = try index.successors(of: prefixes)
        #expect(inMemory.map(\.codes) == stored.map(\.codes), comment)
        #expect(inMemory.map(\.items) == stored.map(\.items), comment)
        #expect(trie.items == (try index.tally().live), comment)
    }

    @Test(arguments: [UInt64(21), 22, 23]) func `it answers as the database does, commit by commit`(seed: UInt64) throws
    {
        let harness = try IndexHarness()
        var random = SeededGenerator(seed: seed)
        var present: Set<String> = []
        for step in 0..<40 {
            if step == 10 {
                #expect(harness.index.trie == nil)
                harness.index.loadTrie()
            }
            // Its file is read after a clean close, its rows where that is of another commit.
            if step == 20 || step == 30 {
                try harness.reopen()
                let loads = Mutex<[Bool]>([])
                harness.index.loadTrie { result in loads.withLock { $0.append((try? result.get().fromFile) ?? false) } }
                #expect(loads.withLock { $0 } == [true], "seed \(seed) step \(step)")
            }
            let names = Array(Set((0..<6).map { _ in "n\(Int.random(in: 0..<40, using: &random))" })).sorted()
            let deleted = names.filter { present.contains($0) && Bool.random(using: &random) }
            let rest = names.filter { !deleted.contains($0) }
            try harness.apply(
                rest.map { ($0, Identifier((0..<3).map { _ in Code.random(in: 0..<4, using: &random) }) ?? []) },
                deleted: deleted)
            present.subtract(deleted)
            present.formUnion(rest)
            if step >= 10 { try compare(harness.index, codes: 4, "seed \(seed) step \(step)") }
        }
    }

    @Test func `a trie file of another commit, or a damaged one, is not used`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])])
        harness.index.loadTrie()
        try harness.reopen()
        let path = harness.folder["index.trie"]
        let old = try Data(contentsOf: URL(fileURLWithPath: path))
        try harness.apply([("b", [2, 2, 2])])
        try harness.reopen()
        try old.write(to: URL(fileURLWithPath: path))
        for _ in 0..<2 {
            let loads = Mutex<[Bool]>([])
            harness.index.loadTrie { result in loads.withLock { $0.append((try? result.get().fromFile) ?? true) } }
            #expect(loads.withLock { $0 } == [false])
            try compare(harness.index, codes: 4, "from the rows")
            try harness.reopen()
            // Written when the index was closed; then damaged.
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            bytes[bytes.count - 9] ^= 1
            try bytes.write(to: URL(fileURLWithPath: path))
        }
    }

    @Test func `readers of the trie see whole commits only, none that failed, and never an earlier one`() throws {
        let queue = DispatchQueue(label: "trie")
        let harness = try IndexHarness(levels: 3, codes: 64, background: { job in queue.async { job() } })
        let index = harness.index
        index.loadTrie()
        queue.sync {}
        struct Seen { var counts: Set<Int> = []; var backwards = 0; var stop = false }
        let seen = Mutex(Seen())
        let threads = (0..<2).map { _ in
            Thread {
                var last = 0
                while !seen.withLock({ $0.stop }) {
                    guard let trie = index.trie else { continue }
                    let count = trie.items(below: [])
                    seen.withLock {
                        $0.counts.insert(count)
                        if trie.commit < last { $0.backwards += 1 }
                    }
                    last = trie.commit
                }
            }
        }
        for thread in threads { thread.start() }
        var random = SeededGenerator(seed: 5)
        var chunk = 0
        while chunk < 400, seen.withLock({ $0.counts.count }) < 20 {
            let items = (0..<50).map { number in
                ("\(chunk)-\(number)", Identifier((0..<3).map { _ in Code.random(in: 0..<64, using: &random) }) ?? [])
            }
            try harness.apply(items)
            // A chunk that fails is never seen.
            #expect(throws: IndexError.self) { try harness.apply([("x\(chunk)", [1, 1, 1]), ("y", [1])]) }
            chunk += 1
        }
        let result = seen.withLock {
            $0.stop = true
            return $0
        }
        #expect(result.counts.allSatisfy { $0 % 50 == 0 }, "\(result.counts.sorted())")
        #expect(result.backwards == 0)
        #expect(result.counts.count >= 20, "the readers saw too little to prove anything")
    }
}
