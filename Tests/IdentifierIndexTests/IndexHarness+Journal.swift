import SQLiteStore
import TestSupport
import Testing
import Core

@testable import IdentifierIndex

extension IndexHarness {
    /// Items arrive, collide, change, are deleted and return.
    ///
    /// - Parameter after: called after each chunk.
    func work(seed: UInt64, steps: Int = 30, names: Int = 30, after: (Int) throws -> Void = { _ in }) throws {
        var random = SeededGenerator(seed: seed)
        var present: Set<String> = []
        for step in 0..<steps {
            now += Int.random(in: 0...9, using: &random)
            let chosen = Set(
                (0..<Int.random(in: 1...5, using: &random)).map { _ in
                    "n\(Int.random(in: 0..<names, using: &random))"
                }
            ).sorted()
            let deleted = chosen.filter { present.contains($0) && Bool.random(using: &random) }
            let rest = chosen.filter { !deleted.contains($0) }
            try apply(
                rest.map { ($0, Identifier((0..<levels).map { _ in Code.random(in: 0..<2, using: &random) }) ?? []) },
                deleted: deleted, digest: UInt64(step),
                cursor: CatalogCursor(
                    version: CatalogVersion(device: 1, inode: 1, transaction: UInt64(step), boot: "b")))
            present.subtract(deleted)
            present.formUnion(rest)
            try after(step)
        }
    }
}

extension IdentifierIndex {
    /// The lines of text that a query gives.
    func rows(_ sql: String) throws -> [String] {
        try store.read { database in
            let statement = try PreparedStatement(database, sql)
            var lines: [String] = []
            while try statement.step() { lines.append(statement.text(0)) }
            return lines
        }
    }

    /// Everything that says which item has or had an identifier, or may not get it: what a rebuild must restore.
    func tables() throws -> [[String]] {
        let leaves = identity.policy == .share ? "shared_identifier" : "identifier"
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
        ].map { try rows($0) }
    }

    /// The identifiers of the items by their names.
    func identifiers() throws -> [String: Identifier] {
        let dump = try dump()
        return Dictionary(uniqueKeysWithValues: (0..<dump.count).map { (dump[$0].item.text, dump[$0].codes) })
    }

    func expectProved(_ comment: Comment) throws {
        for finding in try verify() { #expect(finding.isGood, "\(comment): \(finding.name): \(finding.detail)") }
    }
}
