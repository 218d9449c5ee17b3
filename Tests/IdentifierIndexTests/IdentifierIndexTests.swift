import Foundation
import SQLiteStore
import Synchronization
import TestSupport
import Testing
import Core

@testable import IdentifierIndex

@Suite("IdentifierIndex")
struct IdentifierIndexTests {
    @Test func `an item gets its natural codes when they are free`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3]), ("b", [1, 2, 0])])
        #expect(try harness.codes(of: "a") == [1, 2, 3])
        #expect(try harness.codes(of: "b") == [1, 2, 0])
        #expect(
            try harness.index.successors(of: [[], [1], [1, 2], [1, 2, 3]]).map(\.codes) == [[1], [2], [0, 3], []])
        #expect(try harness.index.successors(of: [[], [1, 2, 3], [3]]).map(\.items) == [2, 1, 0])
        try harness.checkInvariants("two items")
    }

    @Test
    func
        `an item whose codes are taken gets the nearest free code of the last level, and a row in the collision table`()
        throws
    {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3]), ("b", [1, 2, 3])])
        let expected = try #require(
            RingDistances(codes: 4).ranking(row: 1, below: [1, 2]).enumerated().first { $0.element != 3 })
        #expect(try harness.codes(of: "b") == Identifier([1, 2, expected.element]))
        let row = try #require(try harness.index.collisions(after: nil, limit: 10).first)
        #expect(row.item == id("b"))
        #expect(row.bucket == [1, 2, 3])
        #expect(row.rank == expected.offset)
        #expect(row.rule == CollisionRule.nearestFree.rawValue)
        try harness.checkInvariants("one collision")
    }

    @Test func `a full last level falls back to the next-nearest code above, until every identifier is taken`() throws {
        let harness = try IndexHarness(levels: 3, codes: 3)
        var given: Set<Identifier> = []
        for number in 0..<27 {
            try harness.apply([("i\(number)", [1, 1, 1])])
            let codes = try #require(try harness.codes(of: "i\(number)"))
            #expect(given.insert(codes).inserted)
            // Near ones first: the whole of 1-1 before the rest of 1, the whole of 1 before the others.
            if number < 3 { #expect(codes.prefix(2) == [1, 1]) }
            if number < 9 { #expect(codes.prefix(1) == [1]) }
        }
        #expect(
            try harness.index.collisions(after: nil, limit: 99).count { $0.rule == CollisionRule.nextPrefix.rawValue }
                == 24)
        try harness.checkInvariants("full")
        // One item too many has no place; the others of its chunk go on.
        try harness.apply([("one too many", [0, 0, 0]), ("i3", [0, 0, 1])], digest: 7)
        #expect(try harness.codes(of: "one too many") == nil)
        #expect(try harness.index.quarantine(after: nil, limit: 9).map(\.reason) == ["no_free_identifier"])
        #expect(try harness.index.items([id("i3")])[0].row?.natural == [0, 0, 1])
        try harness.checkInvariants("full, and still whole")
        try harness.apply([("one too many", [0, 2, 0])], digest: 8)
        try harness.checkInvariants("still no place")
    }

    @Test func `buckets that fill within one chunk are filled as those that fill over many`() throws {
        let together = try IndexHarness(levels: 3, codes: 3)
        let apart = try IndexHarness(levels: 3, codes: 3)
        let items = (0..<20).map { ("i\($0)", [2, 1, 0] as Identifier) }
        try together.apply(items)
        try together.checkInvariants("one chunk")
        // The ranking depends on the row, so each item gets a chunk in which it has the same row.
        for (row, item) in items.enumerated() { try apart.apply(items[..<row].map { $0 } + [item]) }
        try apart.checkInvariants("many chunks")
        for (name, _) in items { #expect(try together.codes(of: name) == (try apart.codes(of: name))) }
    }

    @Test func `the identifier of a deleted item goes to no other item, and back to it when it returns`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])])
        try harness.apply(deleted: ["a"])
        let found = try harness.index.items([id("a"), id("b")])
        guard case .deleted = found[0], case .unknown = found[1] else {
            Issue.record("\(found)")
            return
        }
        #expect(try harness.index.owners(of: [[1, 2, 3], [0, 0, 0]]) == [.deleted, .unassigned])
        try harness.apply([("b", [1, 2, 3])])
        #expect(try harness.codes(of: "b") != [1, 2, 3])
        try harness.checkInvariants("tombstone")
        try harness.apply([("a", [1, 2, 3])])
        #expect(try harness.codes(of: "a") == [1, 2, 3])
        #expect(try harness.index.tally().tombstones == 0)
        try harness.checkInvariants("returned")
    }

    @Test func `an edited item keeps its identifier and is stale until its vector is the old one again`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])], digest: 1)
        try harness.apply([("a", [3, 2, 1])], digest: 2)
        var row = try #require(try harness.index.items([id("a")])[0].row)
        #expect(row.codes == [1, 2, 3])
        #expect(row.natural == [3, 2, 1])
        #expect(row.status == .stale)
        #expect(try harness.index.tally().stale == 1)
        try harness.apply([("a", [1, 2, 3])], digest: 1)
        row = try #require(try harness.index.items([id("a")])[0].row)
        #expect(row.status == .live)
        #expect(try harness.index.tally().stale == 0)
    }

    @Test func `a record that turns bad is quarantined with its identifier, and leaves when it is fixed`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])], rejected: ["bad from the start"], digest: 1)
        try harness.apply(rejected: ["a"], digest: 2)
        #expect(try harness.codes(of: "a") == [1, 2, 3])
        #expect(try harness.codes(of: "bad from the start") == nil)
        #expect(try harness.index.tally().quarantined == 2)
        #expect(try harness.index.quarantine(after: nil, limit: 9).map(\.item) == [id("a"), id("bad from the start")])
        try harness.checkInvariants("two in quarantine")
        try harness.apply([("a", [1, 2, 3]), ("bad from the start", [0, 0, 0])], digest: 3)
        #expect(try harness.index.tally().quarantined == 0)
        #expect(try harness.codes(of: "bad from the start") == [0, 0, 0])
        try harness.apply(rejected: ["a"], digest: 4)
        try harness.apply(deleted: ["a"])
        #expect(try harness.index.tally().quarantined == 0)
        try harness.checkInvariants("fixed and deleted")
    }

    @Test func `a chunk that fails leaves nothing behind`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])])
        #expect(throws: IndexError.self) { try harness.apply([("b", [0, 0, 0]), ("c", [0, 0])], deleted: ["a"]) }
        #expect(try harness.codes(of: "a") == [1, 2, 3])
        #expect(try harness.codes(of: "b") == nil)
        try harness.checkInvariants("rolled back")
    }

    @Test func `the cursor comes with its chunk and survives closing`() throws {
        let harness = try IndexHarness()
        #expect(try harness.index.cursor() == nil)
        let version = CatalogVersion(device: .max, inode: 1 << 63, transaction: 42, boot: "b")
        let position = LogPosition(epoch: 1 << 127 | 5, sequence: .max, nonce: 1 << 63 | 1)
        // With a position in the log, then without one: what stood there before must not stay.
        for cursor in [CatalogCursor(version: version, log: position), CatalogCursor(version: version)] {
            try harness.apply([("a", [1, 2, 3])], cursor: cursor)
            try harness.reopen()
            #expect(try harness.index.cursor() == cursor)
            #expect(try harness.codes(of: "a") == [1, 2, 3])
        }
    }

    @Test func `digests come back in the order asked, also of records that cannot be encoded, and of no other items`()
        throws
    {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3]), ("b", [1, 2, 0])], digest: 7)
        try harness.apply(rejected: ["c"], digest: 8)
        try harness.apply(deleted: ["b"])
        #expect(
            try harness.index.digests(of: ["c", "b", "x", "a"].map(id)) == [
                Digest(high: 8, low: 2), nil, nil, Digest(high: 7, low: 1),
            ])
        #expect(try harness.index.count() == 2)
    }

    @Test func `an index of another model or generation is refused`() throws {
        let harness = try IndexHarness()
        try harness.index.close()
        for identity in [
            IndexIdentity(generation: 2, levels: 3, codesPerLevel: 4, model: "abc"),
            IndexIdentity(generation: 1, levels: 4, codesPerLevel: 4, model: "abc"),
            IndexIdentity(generation: 1, levels: 3, codesPerLevel: 4, model: "def"),
        ] {
            #expect(throws: IndexError.self) {
                try IdentifierIndex(path: harness.folder["index.sqlite"], identity: identity)
            }
        }
    }

    @Test func `a reader sees a chunk whole or not at all`() throws {
        let harness = try IndexHarness(levels: 3, codes: 64)
        let index = harness.index
        let seen = Mutex<(counts: Set<Int>, stop: Bool)>(([], false))
        // A thread of its own: other tests keep the cooperative pool busy.
        let thread = Thread {
            while !seen.withLock({ $0.stop }) {
                for count in [try? index.dump().count, try? index.successors(of: [[]])[0].items] {
                    seen.withLock { _ = $0.counts.insert(count ?? -1) }
                }
            }
        }
        thread.start()
        var random = SeededGenerator(seed: 3)
        var chunk = 0
        // Each chunk adds 50 items; a torn read would see another number than a multiple of 50.
        while chunk < 400, seen.withLock({ $0.counts.count }) < 20 {
            try harness.apply(
                (0..<50).map { number in
                    (
                        "\(chunk)-\(number)",
                        Identifier((0..<3).map { _ in Code.random(in: 0..<64, using: &random) }) ?? []
                    )
                })
            chunk += 1
        }
        let counts = seen.withLock {
            $0.stop = true
            return $0.counts
        }
        #expect(counts.allSatisfy { $0 % 50 == 0 }, "\(counts.sorted())")
        #expect(counts.count >= 20, "the reader saw too little to prove anything")
    }

    @Test(arguments: [UInt64(11), 12, 13, 14, 15])
    func `as items come and go, no item changes its identifier and no identifier gets a second owner`(seed: UInt64)
        throws
    {
        let harness = try IndexHarness(levels: 3, codes: 4)
        var random = SeededGenerator(seed: seed)
        var live: [String: Identifier] = [:]
        var owners: [Identifier: String] = [:]
        var present: Set<String> = []
        for step in 0..<60 {
            // At most 40 names and 64 identifiers: crowded, never full.
            let names = (0..<Int.random(in: 1...6, using: &random)).map { _ in
                "n\(Int.random(in: 0..<40, using: &random))"
            }
            let distinct = Array(Set(names)).sorted()
            let deleted = distinct.filter { present.contains($0) && Bool.random(using: &random) }
            let rest = distinct.filter { !deleted.contains($0) }
            let rejected = rest.filter { _ in Int.random(in: 0..<6, using: &random) == 0 }
            let encoded = rest.filter { !rejected.contains($0) }.map { name in
                // Few distinct natural codes, so that most collide.
                (name, Identifier((0..<3).map { _ in Code.random(in: 0..<2, using: &random) }) ?? [])
            }
            try harness.apply(encoded, deleted: deleted, rejected: rejected, digest: UInt64(step))
            present.subtract(deleted)
            present.formUnion(rest)
            for name in deleted { live[name] = nil }
            for name in present {
                let codes = try harness.codes(of: name)
                if let before = live[name] { #expect(codes == before, "seed \(seed) step \(step): \(name) moved") }
                if let codes {
                    live[name] = codes
                    let owner = owners[codes, default: name]
                    #expect(owner == name, "seed \(seed) step \(step): \(codes) of \(owner) given to \(name)")
                    owners[codes] = name
                }
            }
            try harness.checkInvariants("seed \(seed) step \(step)")
        }
        try harness.reopen()
        try harness.checkInvariants("seed \(seed) reopened")
    }
}
