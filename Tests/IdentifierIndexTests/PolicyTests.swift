import Foundation
import SQLiteStore
import TestSupport
import Testing
import Core

@testable import IdentifierIndex

@Suite("Policies")
struct PolicyTests {
    @Test func `under suffix the first of a bucket gets 0, the next the smallest suffix that was never given`() throws {
        let harness = try IndexHarness(policy: .suffix)
        try harness.apply([("a", [1, 2, 3]), ("b", [1, 2, 3]), ("c", [1, 2, 2]), ("d", [1, 2, 3])])
        #expect(
            try ["a", "b", "c", "d"].map { try harness.codes(of: $0) }
                == [[1, 2, 3, 0], [1, 2, 3, 1], [1, 2, 2, 0], [1, 2, 3, 2]])
        try harness.checkInvariants("four")
        try harness.apply(deleted: ["b"])
        try harness.apply([("e", [1, 2, 3])])
        #expect(try harness.codes(of: "e") == [1, 2, 3, 3])
        try harness.apply([("b", [1, 2, 3])])
        #expect(try harness.codes(of: "b") == [1, 2, 3, 1])
        #expect(try harness.index.collisions(after: nil, limit: 9).map(\.rule) == ["returned", "suffix", "suffix"])
        #expect(try harness.index.collisions(after: nil, limit: 9).map(\.rank) == [1, 2, 3])
        #expect(try harness.index.successors(of: [[1, 2], [1, 2, 3], [1, 2, 3, 1]]).map(\.items) == [5, 4, 1])
        try harness.checkInvariants("five")
    }

    @Test func `a bucket has 65,536 suffixes; further items are quarantined and other buckets go on`() throws {
        let harness = try IndexHarness(policy: .suffix)
        try harness.apply((0..<65_530).map { ("n\($0)", [1, 1, 1]) })
        try harness.apply((0..<8).map { ("o\($0)", [1, 1, 1]) } + [("p", [1, 1, 2])])
        #expect(try harness.codes(of: "o5") == [1, 1, 1, 65_535])
        #expect(try harness.index.quarantine(after: nil, limit: 9).map(\.item) == [id("o6"), id("o7")])
        #expect(try harness.codes(of: "p") == [1, 1, 2, 0])
        #expect(try harness.index.tally().live == 65_537)
    }

    @Test func `eight levels and a suffix fit`() throws {
        let harness = try IndexHarness(levels: 8, policy: .suffix)
        let natural: Identifier = [3, 2, 1, 0, 3, 2, 1, 0]
        try harness.apply([("a", natural), ("b", natural)])
        #expect(try harness.codes(of: "b") == natural.appending(1))
        #expect(try harness.codes(of: "b")?.tokens.hasSuffix("<h_0><i_1>") == true)
        try harness.checkInvariants("nine codes")
    }

    @Test func `under share a bucket has one identifier, which is live as long as one of its items is`() throws {
        let harness = try IndexHarness(policy: .share)
        try harness.apply([("a", [1, 2, 3]), ("b", [1, 2, 3]), ("c", [1, 2, 0])])
        #expect(try harness.index.owners(of: [[1, 2, 3]]) == [.items([id("a"), id("b")])])
        #expect(try harness.index.successors(of: [[1], [1, 2], [1, 2, 3]]).map(\.items) == [3, 3, 2])
        #expect(try harness.index.successors(of: [[1, 2]])[0].codes == [0, 3])
        #expect(try harness.index.collisions(after: nil, limit: 9).map(\.rule) == ["shared"])
        try harness.checkInvariants("shared")
        try harness.apply(deleted: ["a"])
        #expect(try harness.index.owners(of: [[1, 2, 3]]) == [.items([id("b")])])
        try harness.apply(deleted: ["b"])
        #expect(try harness.index.owners(of: [[1, 2, 3]]) == [.deleted])
        #expect(try harness.index.successors(of: [[1, 2]])[0].codes == [0])
        try harness.apply([("d", [1, 2, 3])])
        #expect(try harness.index.owners(of: [[1, 2, 3]]) == [.items([id("d")])])
        // An edited item keeps its place; a deleted one returns to it.
        try harness.apply([("d", [0, 0, 0]), ("a", [1, 1, 1])], digest: 2)
        #expect(try harness.index.owners(of: [[1, 2, 3]]) == [.items([id("a"), id("d")])])
        #expect(try harness.index.tally().stale == 2)
        try harness.checkInvariants("returned")
    }

    @Test func `a page of shared identifiers has whole buckets`() throws {
        let harness = try IndexHarness(policy: .share)
        try harness.apply((0..<12).map { ("i\($0)", [1, 2, Code($0 % 3)]) })
        let page = try harness.index.identifiers(below: [1], after: nil, limit: 2)
        #expect(page.map(\.items.count) == [4, 4])
        let rest = try harness.index.identifiers(below: [1], after: page[1].codes, limit: 2)
        #expect(rest.map(\.codes) == [[1, 2, 2]])
    }

    @Test func `on_edit reassign gives a new identifier and keeps the old one from other items`() throws {
        let harness = try IndexHarness()
        harness.rules.onEdit = .reassign
        try harness.apply([("a", [1, 2, 3])], digest: 1)
        try harness.apply([("a", [3, 2, 1])], digest: 2)
        #expect(try harness.codes(of: "a") == [3, 2, 1])
        #expect(try harness.index.owners(of: [[1, 2, 3]]) == [.deleted])
        try harness.apply([("b", [1, 2, 3])])
        #expect(try harness.codes(of: "b") != [1, 2, 3])
        // Back to the old vector: its own identifier is no tombstone to itself.
        try harness.apply([("a", [1, 2, 3])], digest: 3)
        #expect(try harness.codes(of: "a") == [1, 2, 3])
        #expect(
            try harness.rows("SELECT why FROM history WHERE item = CAST('a' AS BLOB) ORDER BY sequence")
                == ["reassigned", "reassigned"])
        // Deleted and back with another vector: a new one again.
        try harness.apply(deleted: ["a"])
        try harness.apply([("a", [0, 0, 0])], digest: 4)
        #expect(try harness.codes(of: "a") == [0, 0, 0])
        #expect(try harness.index.tally().tombstones == 2)
        try harness.checkInvariants("reassigned")
    }

    @Test func `a tombstone may go to another item when it is old enough, and the history records it`() throws {
        let harness = try IndexHarness()
        harness.rules.tombstoneReuse = 90 * 86_400_000
        try harness.apply([("a", [1, 2, 3])])
        try harness.apply(deleted: ["a"])
        harness.now += 90 * 86_400_000
        try harness.apply([("b", [1, 2, 3])])
        #expect(try harness.codes(of: "b") != [1, 2, 3], "too early")
        harness.now += 1
        try harness.apply([("c", [1, 2, 3])])
        #expect(try harness.codes(of: "c") == [1, 2, 3])
        #expect(try harness.index.tally().tombstones == 0)
        #expect(
            try harness.rows("SELECT why FROM history WHERE item = CAST('a' AS BLOB) ORDER BY sequence")
                == ["deleted", "given_away"])
        try harness.apply([("a", [1, 2, 3])])
        #expect(try harness.codes(of: "a") != [1, 2, 3])
        #expect(try harness.codes(of: "c") == [1, 2, 3])
        try harness.checkInvariants("given away")
    }

    @Test func `an index keeps its policy when another one is configured later`() throws {
        let harness = try IndexHarness(policy: .suffix)
        try harness.apply([("a", [1, 2, 3])])
        try harness.reopen(configured: .share)
        #expect(harness.index.identity.policy == .suffix)
        try harness.apply([("b", [1, 2, 3])])
        #expect(try harness.codes(of: "b") == [1, 2, 3, 1])
    }

    @Test func `an index made before there were policies continues as reassign, with the schema of a new one`() throws {
        let folder = TemporaryDirectory()
        let text = String(decoding: PackageResources.index_sql, as: UTF8.self)
        let end = try #require(text.range(of: "-- migration 2:")).lowerBound
        let old = try SQLiteStore(
            path: folder["index.sqlite"],
            settings: .init(applicationID: 0x4C54_5249, migrations: Migrations(schema: Array(text[..<end].utf8))))
        try old.write { database in
            for sql in [
                """
                INSERT INTO fact (name, value)
                VALUES ('generation', '1'), ('levels', '3'), ('codes', '4'), ('model', 'abc')
                """,
                """
                INSERT INTO tombstone (codes, item, bucket, since)
                VALUES (X'000100020003', CAST('gone' AS BLOB), X'000100020003', 5)
                """,
                "UPDATE tally SET value = 1 WHERE name = 'tombstones'",
            ] { try PreparedStatement(database, sql).run() }
        }
        try old.close()
        let identity = IndexIdentity(generation: 1, levels: 3, codesPerLevel: 4, model: "abc", policy: .share)
        let index = try IdentifierIndex(path: folder["index.sqlite"], identity: identity)
        #expect(index.identity.policy == .reassign)
        #expect(index.identity.arithmetic == nil)
        let fresh = try IndexHarness()
        let schema = """
            SELECT name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name
            """
        let lines = try index.store.read { database in
            let statement = try PreparedStatement(database, schema)
            var lines: [String] = []
            while try statement.step() { lines.append(statement.text(0)) }
            return lines
        }
        #expect(lines == (try fresh.rows(schema)))
        var chunk = Chunk()
        chunk.encoded = ["other", "gone"].map { name in
            EncodedItem(
                id: id(name), digest: Digest(high: 1, low: 1), natural: [1, 2, 3], quantisationError: 0, margin: 0)
        }
        _ = try index.apply(chunk, distances: RingDistances(codes: 4), now: 9)
        #expect(try index.items([id("gone")])[0].row?.codes == [1, 2, 3])
        #expect(try index.items([id("other")])[0].row?.codes != [1, 2, 3])
        try index.close()
    }
}
