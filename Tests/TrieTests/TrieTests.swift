import Foundation
import Synchronization
import TestSupport
import Testing
import Core

@testable import Trie

@Suite("Trie")
struct TrieTests {
    /// Levels, codes a level, most items of an identifier.
    private static let shapes = [(1, 5, 1), (2, 300, 1), (3, 4, 1), (4, 256, 3), (9, 2, 1), (3, 65_536, 2)]

    /// Compares everything that a snapshot answers with the model.
    private func check(
        _ snapshot: TrieSnapshot, _ model: TrieModel, codes: Int, _ comment: Comment,
        using random: inout SeededGenerator
    ) {
        let prefixes = model.prefixes(codes: codes, using: &random)
        var lists = TrieSuccessors()
        snapshot.successors(of: prefixes, into: &lists)
        var masks = TrieMasks(width: codes)
        snapshot.masks(of: prefixes, into: &masks)
        for (row, prefix) in prefixes.enumerated() {
            let expected = model.successors(of: prefix)
            #expect(Array(lists[row]) == expected, "\(comment): after '\(prefix)'")
            #expect(lists.items[row] == model.count(below: prefix), "\(comment): below '\(prefix)'")
            #expect(snapshot.items(below: prefix) == model.count(below: prefix), "\(comment): below '\(prefix)'")
            let bits = (0..<codes).filter { masks.allows(Code($0), row: row) }.map { Code($0) }
            #expect(bits == expected, "\(comment): bits after '\(prefix)'")
        }
        #expect(snapshot.items == model.count(below: []), comment)
    }

    @Test(arguments: shapes) func `a base answers as a dictionary of identifiers does`(
        levels: Int, codes: Int, most: Int
    ) throws {
        var random = SeededGenerator(seed: UInt64(levels * 1_000 + codes))
        for count in [0, 1, 2, 50, 400] {
            var model = TrieModel(levels: levels)
            for _ in 0..<count {
                model.items[TrieModel.identifier(levels, codes, using: &random)] = Int.random(
                    in: 1...most, using: &random)
            }
            let snapshot = TrieSnapshot(base: try model.base(), overlay: TrieOverlay(levels: levels), commit: 1)
            check(snapshot, model, codes: codes, "\(count) of \(codes)^\(levels)", using: &random)
            var walked: [Identifier: Int] = [:]
            try snapshot.forEach { walked[$0] = $1 }
            #expect(walked == model.items)
        }
    }

    @Test(arguments: [UInt64(1), 2, 3, 4]) func `after every commit it equals the dictionary, merged or not`(
        seed: UInt64
    ) throws {
        var random = SeededGenerator(seed: seed)
        let (levels, codes, most) = Self.shapes[Int(seed) % Self.shapes.count]
        var model = TrieModel(levels: levels)
        // Merged after every few commits.
        let live = LiveTrie(background: { $0() }, mergeAfter: 20)
        live.load({ (TrieBase(levels: levels), 0) })
        for commit in 1...60 {
            var changes: [TrieChange] = []
            for _ in 0..<Int.random(in: 0...12, using: &random) {
                let change: TrieChange
                if Bool.random(using: &random), let gone = model.items.keys.sorted().randomElement(using: &random) {
                    change = TrieChange(gone, -1)
                } else {
                    let new = TrieModel.identifier(levels, codes, using: &random)
                    guard model.items[new, default: 0] < most else { continue }
                    change = TrieChange(new, 1)
                }
                model.apply([change])
                changes.append(change)
            }
            // The model took each change as it came; the trie takes them as one.
            live.publish(changes, commit: commit)
            let snapshot = try #require(live.snapshot)
            #expect(snapshot.commit == commit)
            check(snapshot, model, codes: codes, "seed \(seed) commit \(commit)", using: &random)
        }
        #expect(live.failure == nil)
    }

    @Test func `commits that come while it is loaded are applied, those that the load has read are not`() throws {
        let jobs = Mutex<[@Sendable () -> Void]>([])
        let live = LiveTrie { job in jobs.withLock { $0.append(job) } }
        var model = TrieModel(levels: 2)
        model.items = [[1, 1]: 1, [1, 2]: 1]
        let base = try model.base()
        live.load({ (base, 7) })
        #expect(live.snapshot == nil)
        live.publish([TrieChange([1, 2], 1)], commit: 7)
        live.publish([TrieChange([3, 3], 1), TrieChange([1, 1], -1)], commit: 8)
        #expect(live.snapshot == nil, "not before it is loaded")
        for job in jobs.withLock({ $0 }) { job() }
        let snapshot = try #require(live.snapshot)
        #expect(snapshot.commit == 8)
        #expect(snapshot.successors(of: []) == [1, 3])
        #expect(snapshot.successors(of: [1]) == [2])
        #expect(snapshot.items == 2)
    }

    @Test func `a snapshot never changes, and readers never see half a commit`() throws {
        let queue = DispatchQueue(label: "merges")
        let live = LiveTrie(background: { job in queue.async { job() } }, mergeAfter: 100)
        live.load({ (TrieBase(levels: 3), 0) })
        queue.sync {}
        let first = try #require(live.snapshot)
        struct Seen { var counts: Set<Int> = []; var wrong: [String] = []; var stop = false }
        let seen = Mutex(Seen())
        let threads = (0..<3).map { number in
            Thread {
                var masks = TrieMasks(width: 64)
                var lists = TrieSuccessors()
                while !seen.withLock({ $0.stop }) {
                    guard let snapshot = live.snapshot else { continue }
                    // Each commit adds 25 identifiers below an even first code and 25 below an odd one.
                    snapshot.successors(of: [[], [0], [1]], into: &lists)
                    snapshot.masks(of: [[]], into: &masks)
                    let (all, even, odd) = (lists.items[0], lists.items[1], lists.items[2])
                    seen.withLock {
                        $0.counts.insert(all)
                        if even != odd || even + odd != all { $0.wrong.append("\(number): \(all) \(even) \(odd)") }
                        if masks.allows(0, row: 0) != masks.allows(1, row: 0) { $0.wrong.append("\(number): mask") }
                    }
                }
            }
        }
        for thread in threads { thread.start() }
        var random = SeededGenerator(seed: 9)
        var present: Set<Identifier> = []
        var commit = 0
        while commit < 400 || (commit < 20_000 && seen.withLock({ $0.counts.count }) < 20) {
            commit += 1
            var changes: [TrieChange] = []
            for first in [Code(0), 1] {
                var added = 0
                while added < 25 {
                    let new: Identifier = [
                        first, Code.random(in: 0..<2_000, using: &random), Code.random(in: 0..<2_000, using: &random),
                    ]
                    guard present.insert(new).inserted else { continue }
                    changes.append(TrieChange(new, 1))
                    added += 1
                }
            }
            live.publish(changes, commit: commit)
        }
        let result = seen.withLock {
            $0.stop = true
            return $0
        }
        #expect(result.wrong.isEmpty, "\(result.wrong.prefix(5))")
        #expect(result.counts.allSatisfy { $0 % 50 == 0 }, "\(result.counts.sorted().prefix(20))")
        #expect(result.counts.count >= 20, "the readers saw too little to prove anything")
        #expect(first.items == 0 && first.successors(of: []).isEmpty, "the first snapshot is what it was")
        queue.sync {}
        #expect(live.snapshot?.items == commit * 50)
    }

    @Test func `identifiers out of order are refused`() throws {
        var builder = TrieBuilder(levels: 2)
        try builder.append([1, 2])
        #expect(throws: TrieError.self) { try builder.append([1, 2]) }
        #expect(throws: TrieError.self) { try builder.append([1, 1]) }
        #expect(throws: TrieError.self) { try builder.append([2]) }
        #expect(throws: TrieError.self) { try builder.append([2, 2], items: 0) }
        try builder.append([1, 3])
        #expect(builder.finish().identifiers == 2)
    }

    @Test func `changes that do not fit their base drop the trie`() throws {
        let live = LiveTrie(background: { $0() }, mergeAfter: 1)
        live.load({ (TrieBase(levels: 2), 0) })
        live.publish([TrieChange([1, 1], -1), TrieChange([2, 2], 1)], commit: 1)
        #expect(live.snapshot == nil)
        #expect(live.failure is TrieError)
    }
}
