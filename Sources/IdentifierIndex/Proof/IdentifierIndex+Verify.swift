import Files
import GRDB
import Glibc
import SQLiteStore
import Trie
import Core

/// One thing that was proved of an index, or not.
package struct IndexFinding: Sendable {
    /// What was looked at, such as `trie`.
    package var name: String
    /// What was found: numbers if all is well, else what is wrong.
    package var detail: String
    package var isGood: Bool
    package var took: Duration
}

extension IdentifierIndex {
    /// Proves, in one snapshot, that the tables, the trie in memory and the journal say the same.
    ///
    /// O(items · log items), a few seconds a million; reading and writing go on meanwhile.
    ///
    /// - Throws: `StoreError` where the file cannot be read at all.
    package func verify() throws -> [IndexFinding] {
        var trieInMemory: TrieSnapshot?
        return try store.read { database in
            let commit = try IndexCommit(database)
            // The commit that this snapshot shows is published an instant after it happened.
            trieInMemory = trie
            for _ in 0..<200 where (trieInMemory?.commit ?? .max) < commit.number {
                usleep(1_000)
                trieInMemory = trie
            }
            var proof = IndexProof(database: database)
            let tally = try Tally(database)
            try proof.add("owners") { try owners($0, tally) }
            var base: TrieBase?
            try proof.add("identifiers") { database in
                let trie = try readTrie(database, items: tally.live)
                base = trie
                return try identifiers(database, trie, tally)
            }
            if let base {
                try proof.add("trie") { try nodes($0, base) }
                if let memory = trieInMemory, memory.commit == commit.number {
                    try proof.add("trie in memory") { _ in
                        try memory.isEqual(to: base)
                            ? .good("\(memory.items) items, \(memory.byteCount) bytes, at commit \(commit.number)")
                            : .bad("it differs from the index's at commit \(commit.number)")
                    }
                }
            }
            try proof.add("counts") { try counts($0, tally) }
            try proof.add("tombstones") { try tombstones($0) }
            try proof.add("collisions") { try collisions($0) }
            try proof.add("journal") { try journal($0) }
            return proof.findings
        }
    }

    private func owners(_ database: Database, _ tally: Tally) throws -> IndexProof.Result {
        let lost = try proofRows(
            database,
            """
            SELECT i.id FROM item i LEFT JOIN \(identity.identifierTable) d ON d.codes = i.codes AND d.item = i.id
            WHERE i.codes IS NOT NULL AND d.item IS NULL LIMIT 3
            """)
        guard lost.isEmpty else { return .bad("identifiers are not those of their items: \(lost)") }
        let rows = try Int.fetchOne(database, sql: "SELECT count(*) FROM \(identity.identifierTable)") ?? 0
        guard rows == tally.live else { return .bad("\(rows) identifiers; \(tally.live) items have one") }
        return .good("\(rows) items, each with an identifier\(identity.policy == .share ? "" : " of its own")")
    }

    private func identifiers(_ database: Database, _ trie: TrieBase, _ tally: Tally) throws -> IndexProof.Result {
        let wrong = try Int.fetchOne(
            database, sql: "SELECT count(*) FROM \(identity.identifierTable) WHERE length(codes) <> ?",
            arguments: [2 * length])
        guard wrong == 0 else { return .bad("\(wrong ?? 0) identifiers have not \(length) codes") }
        return trie.items == tally.live
            ? .good("\(trie.identifiers) of \(length) codes, in order")
            : .bad("\(trie.items) leaves; \(tally.live) items have an identifier")
    }

    private func nodes(_ database: Database, _ trie: TrieBase) throws -> IndexProof.Result {
        let statement = try PreparedStatement(database, "SELECT prefix, code, items FROM trie_node")
        let recount = TrieSnapshot(counting: trie)
        var rows = 0
        while try statement.step() {
            rows += 1
            let path = (statement.identifier(0) ?? []).appending(Code(truncatingIfNeeded: statement.integer(1)))
            let items = recount.items(below: path)
            guard items == statement.integer(2) else {
                return .bad("\(statement.integer(2)) items are counted below \(path); there are \(items)")
            }
        }
        let there = trie.nodes(ofLength: identity.countedLength)
        return rows == there
            ? .good("\(rows) inner nodes, every count right")
            : .bad("\(rows) inner nodes; there are \(there)")
    }

    private func counts(_ database: Database, _ tally: Tally) throws -> IndexProof.Result {
        let counted = [
            ("live", tally.live, "item WHERE codes IS NOT NULL"), ("stale", tally.stale, "item WHERE status = 1"),
            ("quarantined", tally.quarantined, "item WHERE status = 2"),
            ("quarantined", tally.quarantined, "quarantine"), ("collisions", tally.collisions, "collision"),
            ("tombstones", tally.tombstones, "tombstone"),
        ]
        for (name, kept, source) in counted {
            let rows = try Int.fetchOne(database, sql: "SELECT count(*) FROM \(source)") ?? 0
            guard rows == kept else { return .bad("\(kept) are kept as \(name); there are \(rows)") }
        }
        return .good("live, stale, quarantined, collisions and tombstones are what a count gives")
    }

    private func tombstones(_ database: Database) throws -> IndexProof.Result {
        guard identity.policy != .share else { return .good("they keep nobody away under the policy share") }
        let both = try proofRows(
            database, "SELECT t.item FROM tombstone t JOIN identifier d ON d.codes = t.codes LIMIT 3")
        guard both.isEmpty else { return .bad("live items have identifiers of deleted ones: \(both)") }
        return .good("no live item has a deleted one's identifier")
    }

    private func collisions(_ database: Database) throws -> IndexProof.Result {
        let strange = try proofRows(
            database,
            """
            SELECT c.item FROM collision c LEFT JOIN item i ON i.id = c.item WHERE i.codes IS NOT c.codes LIMIT 3
            """)
        guard strange.isEmpty else { return .bad("decisions for identifiers that the items have not: \(strange)") }
        // Whoever is live has the codes of its vector, or a row that says why not.
        let unexplained = try proofRows(
            database,
            """
            SELECT i.id FROM item i LEFT JOIN collision c ON c.item = i.id WHERE i.status = 0 AND i.codes IS NOT NULL
                AND NOT (i.natural IS NULL AND i.digest = zeroblob(16))
                AND i.natural IS NOT coalesce(c.bucket, substr(i.codes, 1, \(2 * identity.levels))) LIMIT 3
            """)
        guard unexplained.isEmpty else { return .bad("codes that nothing explains: \(unexplained)") }
        return .good("every identifier is its item's natural codes, or a decision explains it")
    }

    /// The journal, added up, must give what the items say: a sum that no order changes, so it needs no memory.
    private func journal(_ database: Database) throws -> IndexProof.Result {
        let noted = try IndexCommit.journal(database)
        let path = Self.journalPath(of: self.path)
        var sum = OwnerSum()
        var (bad, reached) = (0, noted == nil)
        _ = try AssignmentJournal.read(path, fingerprint: nil) { frame in
            guard !reached || frame.position.end <= noted?.end ?? 0 else { return }
            var position = 0
            while position < frame.records.count {
                guard let event = AssignmentEvent(frame.records[...], at: &position) else {
                    bad += 1
                    return
                }
                sum.add(event)
            }
            if frame.position == noted { reached = true }
        }
        guard bad == 0 else { return .bad("\(bad) frames of \(path) cannot be read") }
        guard reached else { return .bad("\(path) does not go to the index's last commit") }
        let items = try Self.ownerSum(database, "SELECT id, codes FROM item WHERE codes IS NOT NULL")
        return sum == items
            ? .good("\(sum.rows) identifiers, as in the index")
            : .bad("\(path) tells of \(sum.rows) identifiers where the index has \(items.rows), or of others")
    }

    private func proofRows(_ database: Database, _ sql: String) throws -> String {
        let statement = try PreparedStatement(database, sql)
        var ids: [String] = []
        while try statement.step() { ids.append(ItemID(unchecked: statement.bytes(0)).text) }
        return ids.joined(separator: ", ")
    }
}

/// Findings as they are made.
private struct IndexProof {
    enum Result {
        case good(String)
        case bad(String)
    }

    let database: Database
    var findings: [IndexFinding] = []

    /// Makes one. What a damaged file makes of a question is itself a finding.
    mutating func add(_ name: String, _ body: (Database) throws -> Result) throws {
        let start = ContinuousClock.now
        let result: Result
        do {
            result = try body(database)
        } catch let error as any Failure {
            result = .bad(error.message)
        } catch let error as DatabaseError {
            result = .bad(StoreError(error, path: "the index").message + " (\(error))")
        }
        let took = start.duration(to: .now)
        switch result {
        case .good(let detail): findings.append(.init(name: name, detail: detail, isGood: true, took: took))
        case .bad(let detail): findings.append(.init(name: name, detail: detail, isGood: false, took: took))
        }
    }
}
