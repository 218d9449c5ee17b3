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

    private func rebuild(_ harness: IndexHarness) throws -> IndexRebuild.Outcome {
        try IndexRebuild.run(path: harness.folder["index.sqlite"], identity: harness.index.identity)
    }

    private func remove(_ harness: IndexHarness, _ names: String...) throws {
        for name in names { try FileManager.default.removeItem(atPath: harness.folder[name]) }
    }

    @Test(arguments: [UInt64(1), 2, 3, 4], [CollisionPolicy.reassign, .suffix, .share])
    func `a lost index is rebuilt from its journal, with every identifier and tombstone as before`(
        seed: UInt64, policy: CollisionPolicy
    ) throws {
        let comment: Comment = "seed \(seed), \(policy)"
        let harness = try IndexHarness(policy: policy)
        if seed % 2 == 0 { harness.rules.onEdit = .reassign }
        try harness.work(seed: seed)
        let before = try harness.index.tables()
        #expect(before.allSatisfy { !$0.isEmpty } || policy == .share, "\(comment) proves little")
        try harness.index.expectProved(comment)
        try harness.index.close()
        try remove(harness, "index.sqlite")
        let outcome = try rebuild(harness)
        #expect(outcome.items == before[0].count && outcome.isComplete && outcome.salvaged == 0, comment)
        // The policy that is configured by then does not matter.
        try harness.open(configured: policy == .share ? .reassign : .share)
        #expect(harness.index.identity.policy == policy)
        #expect(try harness.index.tables() == before, comment)
        #expect(try harness.index.cursor() == nil, "it has to be compared with the catalog")
        try harness.index.expectProved(comment)
        // It continues to work, and is closed and opened like any other.
        try harness.work(seed: seed + 100)
        try harness.reopen()
        try harness.index.expectProved(comment)
    }

    @Test func `a lost index is not mistaken for a new one`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])])
        try harness.index.close()
        try remove(harness, "index.sqlite")
        for _ in 0..<2 {
            #expect { try harness.open() } throws: { ($0 as? IndexError)?.reason == .olderThanJournal }
        }
        // Nor is an empty file in its place.
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
        // The negative control: without the journal it is new.
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
        let before = try harness.index.identifiers()
        try harness.index.close()
        try old.write(to: URL(fileURLWithPath: harness.folder["index.sqlite"]))
        #expect { try harness.open() } throws: { ($0 as? IndexError)?.reason == .olderThanJournal }
        _ = try rebuild(harness)
        try harness.open()
        #expect(try harness.index.identifiers() == before)
    }

    @Test func `a frame whose commit did not happen is truncated`() throws {
        let harness = try IndexHarness()
        try harness.apply([("a", [1, 2, 3])])
        let size = try journalSize(harness)
        // The chunk fails after one of its items got an identifier; nothing of it may stay.
        #expect(throws: IndexError.self) { try harness.apply([("b", [0, 0, 0]), ("c", [0, 0])]) }
        #expect(try journalSize(harness) == size)
        try harness.index.close()
        // What a process leaves that dies between writing the journal and the commit.
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
        for bytes in [rest.count, rest.count - 1, 20, 1] {
            try (whole + rest.prefix(bytes)).write(to: URL(fileURLWithPath: journal(other)))
            try other.open()
            #expect(other.index.journalOpening == .found, "\(bytes) bytes")
            #expect(try journalSize(other) == whole.count, "\(bytes) bytes")
            try other.index.close()
        }
    }

    @Test func `a damaged journal is moved aside and written again from the index`() throws {
        let harness = try IndexHarness()
        try harness.work(seed: 9)
        let before = try harness.index.identifiers()
        try harness.index.close()
        var bytes = try Data(contentsOf: URL(fileURLWithPath: journal(harness)))
        bytes[bytes.count - 20] ^= 1
        try bytes.write(to: URL(fileURLWithPath: journal(harness)))
        try harness.open()
        #expect(harness.index.journalOpening == .written(aside: journal(harness) + ".damaged"))
        try harness.index.expectProved("written again")
        try harness.index.close()
        try remove(harness, "index.sqlite")
        _ = try rebuild(harness)
        try harness.open()
        #expect(try harness.index.identifiers() == before)
    }

    @Test(arguments: [UInt64(4), 5], [CollisionPolicy.reassign, .suffix, .share])
    func `an index without a journal gets one that has everything`(
        seed: UInt64, policy: CollisionPolicy
    ) throws {
        let comment: Comment = "seed \(seed), \(policy)"
        let harness = try IndexHarness(policy: policy)
        harness.rules.onEdit = .reassign
        try harness.work(seed: seed)
        let before = try harness.index.tables()
        try harness.index.close()
        try remove(harness, "index.journal")
        try harness.open()
        #expect(harness.index.journalOpening == .written(aside: nil), comment)
        try harness.index.expectProved(comment)
        try harness.index.close()
        try remove(harness, "index.sqlite")
        _ = try rebuild(harness)
        try harness.open()
        #expect(try harness.index.tables() == before, comment)
        try harness.index.expectProved(comment)
    }

    @Test func `if journal and index are both damaged, what either of them has is kept`() throws {
        let harness = try IndexHarness()
        for number in 0..<20 { try harness.apply([("i\(number)", [1, Code(number % 4), Code(number % 3)])]) }
        let before = try harness.index.identifiers()
        try harness.index.close()
        let bytes = try Data(contentsOf: URL(fileURLWithPath: journal(harness)))
        try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: journal(harness)))
        let outcome = try rebuild(harness)
        #expect(!outcome.isComplete)
        #expect(outcome.salvaged > 0 && outcome.items == before.count)
        try harness.open()
        #expect(try harness.index.identifiers() == before)
        try harness.index.expectProved("salvaged")
    }

    /// Damage to the contents of rows, which no check of the file's form finds.
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
        try harness.work(seed: 2)
        try harness.index.expectProved("whole")
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
