import Foundation
import GRDB
import SQLiteStore
import TestSupport
import Testing
import Core

@testable import IdentifierIndex

@Suite("The journal of assignments")
struct IndexJournalTests {
    private func journal(_ harness: IndexHarness) -> String { harness.folder["index.journal"] }

    /// Items come, collide, change, go and return.
    private func work(_ harness: IndexHarness, seed: UInt64, steps: Int = 30) throws {
        var random = SeededGenerator(seed: seed)
        var present: Set<String> = []
        for step in 0..<steps {
            let names = Array(
                Set(
                    (0..<Int.random(in: 1...5, using: &random)).map { _ in "n\(Int.random(in: 0..<30, using: &random))"
                    })
            ).sorted()
            let deleted = names.filter { present.contains($0) && Bool.random(using: &random) }
            let rest = names.filter { !deleted.contains($0) }
            try harness.apply(
                rest.map { ($0, Identifier((0..<3).map { _ in Code.random(in: 0..<2, using: &random) }) ?? []) },
                deleted: deleted, digest: UInt64(step),
                cursor: CatalogCursor(
                    version: CatalogVersion(device: 1, inode: 1, transaction: UInt64(step), boot: "b")))
            present.subtract(deleted)
            present.formUnion(rest)
        }
    }

    private func dump(_ index: IdentifierIndex) throws -> [String: Identifier] {
        let dump = try index.dump()
        return Dictionary(uniqueKeysWithValues: (0..<dump.count).map { (dump[$0].item.text, dump[$0].codes) })
    }

    private func rebuild(_ harness: IndexHarness) throws -> IndexRebuild.Outcome {
        try IndexRebuild.run(path: harness.folder["index.sqlite"], identity: harness.index.identity)
    }

    private func remove(_ harness: IndexHarness, _ names: String...) throws {
        for name in names { try FileManager.default.removeItem(atPath: harness.folder[name]) }
    }

    private func proved(_ index: IdentifierIndex, _ comment: Comment) throws {
        for finding in try index.verify() { #expect(finding.isGood, "\(comment): \(finding.name): \(finding.detail)") }
    }

    /// Everything that tells who has, had or is kept from what.
    private func tables(_ harness: IndexHarness) throws -> [[String]] {
        let leaves = harness.policy == .share ? "shared_identifier" : "identifier"
        return try [
            "SELECT hex(id) || ' ' || hex(codes) FROM item WHERE codes IS NOT NULL ORDER BY id",
            "SELECT hex(codes) || ' ' || hex(item) FROM \(leaves) ORDER BY codes, item",
            "SELECT hex(prefix) || ' ' || code || ' ' || items FROM trie_node ORDER BY prefix, code",
            """
            SELECT hex(item) || ' ' || hex(bucket) || ' ' || hex(codes) || ' ' || rank || rule || since FROM collision
            ORDER BY item
            """,
            """
            SELECT hex(codes) || ' ' || hex(item) || ' ' || hex(bucket) || ' ' || since || ' ' || deleted FROM tombstone
            ORDER BY codes, item
            """,
            "SELECT name || value FROM tally WHERE name IN ('live', 'collisions', 'tombstones') ORDER BY name",
        ].map { try harness.rows($0) }
    }

    @Test(arguments: [UInt64(1), 2, 3, 4], [CollisionPolicy.reassign, .suffix, .share])
    func `a lost index is made again from its journal, every identifier and tombstone what it was`(
        seed: UInt64, policy: CollisionPolicy
    ) throws {
        let comment: Comment = "seed \(seed), \(policy)"
        let harness = try IndexHarness(policy: policy)
        if seed % 2 == 0 { harness.rules.onEdit = .reassign }
        try work(harness, seed: seed)
        let before = try tables(harness)
        #expect(before.allSatisfy { !$0.isEmpty } || policy == .share, "\(comment) proves little")
        try proved(harness.index, comment)
        try harness.index.close()
        try remove(harness, "index.sqlite")
        let outcome = try rebuild(harness)
        #expect(outcome.items == before[0].count && outcome.isComplete && outcome.salvaged == 0, comment)
        // What is configured by now does not matter.
        try harness.open(configured: policy == .share ? .reassign : .share)
        #expect(harness.index.identity.policy == policy)
        #expect(try tables(harness) == before, comment)
        #expect(try harness.index.cursor() == nil, "it has to be compared with the catalog")
        try proved(harness.index, comment)
        // It works on, and is closed and opened like any other.
        try work(harness, seed: seed + 100)
        try harness.reopen()
        try proved(harness.index, comment)
    }

    @Test func `a lost index is not taken for a new one`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])])
        try harness.index.close()
        try remove(harness, "index.sqlite")
        for _ in 0..<2 {
            #expect { try harness.open() } throws: { ($0 as? IndexError)?.reason == .olderThanJournal }
        }
        // Nor is an empty file in its place one, whatever made it.
        try Data().write(to: URL(fileURLWithPath: harness.folder["index.sqlite"]))
        for _ in 0..<2 {
            #expect { try harness.open() } throws: { ($0 as? IndexError)?.reason == .olderThanJournal }
        }
        try remove(harness, "index.sqlite", "index.journal")
        #expect {
            _ = try IdentifierIndex(
                path: harness.folder["index.sqlite"], identity: harness.index.identity, mustExist: true)
        } throws: {
            ($0 as? IndexError)?.reason == .noJournal
        }
        // The negative control: without the journal it is one.
        try harness.open()
        #expect(try harness.index.tally().live == 0)
    }

    @Test func `an old copy in the place of an index is refused`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])])
        try harness.index.close()
        let old = try Data(contentsOf: URL(fileURLWithPath: harness.folder["index.sqlite"]))
        try harness.open()
        for name in ["b", "c"] { try harness.apply([(name, [1, 2, 3])]) }
        let before = try dump(harness.index)
        try harness.index.close()
        try old.write(to: URL(fileURLWithPath: harness.folder["index.sqlite"]))
        #expect { try harness.open() } throws: { ($0 as? IndexError)?.reason == .olderThanJournal }
        _ = try rebuild(harness)
        try harness.open()
        #expect(try dump(harness.index) == before)
    }

    @Test func `a frame whose commit did not happen is cut off`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])])
        let size = try journalSize(harness)
        // The chunk fails after others of it were given identifiers; nothing of it may stay.
        #expect(throws: IndexError.self) { try harness.apply([("b", [0, 0, 0]), ("c", [0, 0])]) }
        #expect(try journalSize(harness) == size)
        try harness.index.close()
        // What a process leaves that dies between the journal's write and the commit.
        let frames = try Data(contentsOf: URL(fileURLWithPath: journal(harness)))
        try harness.open()
        try harness.apply([("b", [1, 2, 3])])
        let longer = try Data(contentsOf: URL(fileURLWithPath: journal(harness)))
        try harness.index.close()
        let rest = longer.dropFirst(frames.count)
        let other = try IndexHarness()
        try other.apply([("a", [1, 2, 3])])
        try other.index.close()
        let whole = try Data(contentsOf: URL(fileURLWithPath: journal(other)))
        for part in [rest.count, rest.count - 1, 20, 1] {
            try (whole + rest.prefix(part)).write(to: URL(fileURLWithPath: journal(other)))
            try other.open()
            #expect(other.index.journalOpening == .found, "\(part) bytes")
            #expect(try journalSize(other) == whole.count, "\(part) bytes")
            try other.index.close()
        }
    }

    @Test func `a damaged journal is put aside and written anew from the index`() throws {
        let harness = try IndexHarness()
        try work(harness, seed: 9)
        let before = try dump(harness.index)
        try harness.index.close()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: journal(harness)))
        bytes[bytes.count - 20] ^= 1
        try bytes.write(to: URL(fileURLWithPath: journal(harness)))
        try harness.open()
        #expect(harness.index.journalOpening == .written(aside: journal(harness) + ".damaged"))
        try proved(harness.index, "written anew")
        try harness.index.close()
        try remove(harness, "index.sqlite")
        _ = try rebuild(harness)
        try harness.open()
        #expect(try dump(harness.index) == before)
    }

    @Test(arguments: [UInt64(4), 5], [CollisionPolicy.reassign, .suffix, .share])
    func `an index from before there were journals gets one that tells all of it`(
        seed: UInt64, policy: CollisionPolicy
    ) throws {
        let comment: Comment = "seed \(seed), \(policy)"
        let harness = try IndexHarness(policy: policy)
        harness.rules.onEdit = .reassign
        try work(harness, seed: seed)
        // Decided when, is told by the frames; a journal that is written anew has one time for all.
        let before = try tables(harness).enumerated().filter { $0.offset != 3 }.map(\.element)
        try harness.index.close()
        try remove(harness, "index.journal")
        try harness.open()
        #expect(harness.index.journalOpening == .written(aside: nil), comment)
        try proved(harness.index, comment)
        try harness.index.close()
        try remove(harness, "index.sqlite")
        _ = try rebuild(harness)
        try harness.open()
        #expect(try tables(harness).enumerated().filter { $0.offset != 3 }.map(\.element) == before, comment)
        try proved(harness.index, comment)
    }

    @Test func `with a damaged journal and a damaged index what either has is kept`() throws {
        let harness = try IndexHarness()
        for number in 0..<20 { try harness.apply([("i\(number)", [1, Code(number % 4), Code(number % 3)])]) }
        let before = try dump(harness.index)
        try harness.index.close()
        let bytes = try Data(contentsOf: URL(fileURLWithPath: journal(harness)))
        try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: journal(harness)))
        let outcome = try rebuild(harness)
        #expect(!outcome.isComplete)
        #expect(outcome.salvaged > 0 && outcome.items == before.count)
        try harness.open()
        #expect(try dump(harness.index) == before)
        try proved(harness.index, "salvaged")
    }

    /// Damage to what a row says, which no check of the file's form sees.
    @Test(arguments: [
        (
            "owners",
            "UPDATE identifier SET item = (SELECT id FROM item WHERE id > identifier.item LIMIT 1) WHERE rowid_of"
        ),
        (
            "owners",
            "UPDATE item SET codes = x'000000000000' WHERE id = (SELECT min(id) FROM item WHERE codes IS NOT NULL)"
        ),
        ("trie", "UPDATE trie_node SET items = items + 1 WHERE prefix = x''"),
        ("counts", "UPDATE tally SET value = value + 1 WHERE name = 'stale'"),
        (
            "tombstones",
            "UPDATE tombstone SET codes = (SELECT max(codes) FROM identifier) WHERE item = (SELECT min(item) FROM tombstone)"
        ),
        ("collisions", "UPDATE collision SET codes = x'000000010001' WHERE item = (SELECT min(item) FROM collision)"),
        (
            "collisions",
            "UPDATE item SET natural = x'000300030003' WHERE id = (SELECT min(id) FROM item WHERE status = 0)"
        ),
        ("journal", "UPDATE fact SET value = '1 2 3 4' WHERE name = 'journal'"),
    ])
    func `verify finds rows that contradict each other`(name: String, sql: String) throws {
        let harness = try IndexHarness()
        try work(harness, seed: 2)
        try proved(harness.index, "whole")
        let sql = sql.replacingOccurrences(
            of: "WHERE rowid_of", with: "WHERE codes = (SELECT min(codes) FROM identifier)")
        try harness.index.store.write { try $0.execute(sql: sql) }
        let failed = try harness.index.verify().filter { !$0.isGood }.map(\.name)
        #expect(failed.contains(name), "\(failed)")
    }

    private func journalSize(_ harness: IndexHarness) throws -> Int {
        try FileManager.default.attributesOfItem(atPath: journal(harness))[.size] as? Int ?? -1
    }
}
