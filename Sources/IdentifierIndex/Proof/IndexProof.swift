import Files
import GRDB
import SQLiteStore
import Trie
import Core

/// One property of an index that was proved, or not.
package struct IndexFinding: Sendable {
    /// What was checked, such as `trie`.
    package var name: String
    /// Numbers if all is well, else what is wrong.
    package var detail: String
    /// Whether the property holds.
    package var isGood: Bool
    /// How long the check took.
    package var took: Duration
}

/// Proves, in one snapshot, that the tables, the trie in memory and the journal of an index agree.
struct IndexProof {
    private let index: IndexFile
    private let database: Database
    private let tally: Tally
    /// The trie and the journal, as they were at the commit of the snapshot.
    private let trie: TrieSnapshot?
    private let journal: OpenFile
    private let commit: IndexCommit

    private var identity: IndexIdentity { index.identity }

    private enum Verdict {
        case good(String)
        case bad(String)
    }

    /// Checks everything. O(items · log items), a few seconds a million; reading and writing go on meanwhile.
    ///
    /// - Throws: `StoreError` where the file cannot be read at all.
    static func findings(of index: IndexFile, trie: IndexTrie) throws -> [IndexFinding] {
        try index.store.readFromFirstStatement { database in
            // Between a commit and its publication the trie is that of the commit before; under the lock there is no such
            // moment, nor one in which the journal is replaced. A chunk that is being applied is waited for.
            let (commit, snapshot, journal) = try index.lock.withLock {
                (try IndexCommit(database), trie.snapshot, index.journal.file)
            }
            let proof = IndexProof(
                index: index, database: database, tally: try Tally(database), trie: snapshot, journal: journal,
                commit: commit)
            return try proof.findings { try trie.readRows(database, items: proof.tally.live) }
        }
    }

    private init(
        index: IndexFile, database: Database, tally: Tally, trie: TrieSnapshot?, journal: OpenFile, commit: IndexCommit
    ) {
        self.index = index
        self.database = database
        self.tally = tally
        self.trie = trie
        self.journal = journal
        self.commit = commit
    }

    private func findings(_ readTrie: () throws -> TrieBase) throws -> [IndexFinding] {
        var findings = [try check("owners", owners)]
        var base: TrieBase?
        findings.append(
            try check("identifiers") {
                let trie = try readTrie()
                base = trie
                return try identifiers(trie)
            })
        if let base {
            findings.append(try check("trie") { try nodes(base) })
            if let trie { findings.append(try check("trie in memory") { try inMemory(trie, base) }) }
        }
        for (name, body) in [
            ("counts", counts), ("tombstones", tombstones), ("collisions", collisions), ("journal", journalSum),
        ] { findings.append(try check(name, body)) }
        return findings
    }

    /// Runs a check. If the damage of a file keeps it from ending, that is a finding too.
    private func check(_ name: String, _ body: () throws -> Verdict) throws -> IndexFinding {
        let start = ContinuousClock.now
        let verdict: Verdict
        do {
            verdict = try body()
        } catch let error as any Failure {
            verdict = .bad(error.message)
        } catch let error as DatabaseError {
            verdict = .bad(StoreError(error, path: "the index").message + " (\(error))")
        }
        let took = start.duration(to: .now)
        return switch verdict {
        case .good(let detail): IndexFinding(name: name, detail: detail, isGood: true, took: took)
        case .bad(let detail): IndexFinding(name: name, detail: detail, isGood: false, took: took)
        }
    }

    // MARK: - Checks

    private func owners() throws -> Verdict {
        let lost = try ids(
            """
            SELECT i.id FROM item i LEFT JOIN \(identity.identifierTable) d ON d.codes = i.codes AND d.item = i.id
            WHERE i.codes IS NOT NULL AND d.item IS NULL LIMIT 3
            """)
        guard lost.isEmpty else { return .bad("these items have identifiers that are not listed as theirs: \(lost)") }
        let rows = try Int.fetchOne(database, sql: "SELECT count(*) FROM \(identity.identifierTable)") ?? 0
        guard rows == tally.live else { return .bad("\(rows) identifiers, but \(tally.live) items have one") }
        return .good("\(rows) items, each with an identifier\(identity.policy == .share ? "" : " of its own")")
    }

    private func identifiers(_ trie: TrieBase) throws -> Verdict {
        let length = identity.identifierLength
        let wrong = try Int.fetchOne(
            database, sql: "SELECT count(*) FROM \(identity.identifierTable) WHERE length(codes) <> ?",
            arguments: [2 * length])
        guard wrong == 0 else { return .bad("\(wrong ?? 0) identifiers do not have \(length) codes") }
        return trie.items == tally.live
            ? .good("\(trie.identifiers) of \(length) codes, in order")
            : .bad("\(trie.items) leaves, but \(tally.live) items have an identifier")
    }

    private func nodes(_ trie: TrieBase) throws -> Verdict {
        let statement = try PreparedStatement(database, "SELECT prefix, code, items FROM trie_node")
        let recount = TrieSnapshot(counting: trie)
        var rows = 0
        while try statement.step() {
            rows += 1
            let path = (statement.identifier(0) ?? []).appending(Code(truncatingIfNeeded: statement.integer(1)))
            let items = recount.items(below: path)
            guard items == statement.integer(2) else {
                return .bad("\(statement.integer(2)) items are counted below \(path), but there are \(items)")
            }
        }
        let expected = trie.nodes(ofLength: identity.countedLength)
        return rows == expected
            ? .good("\(rows) inner nodes, every count right")
            : .bad("\(rows) inner nodes, but there should be \(expected)")
    }

    private func inMemory(_ trie: TrieSnapshot, _ base: TrieBase) throws -> Verdict {
        guard trie.commit == commit.number else {
            return .bad("it is at commit \(trie.commit), the index at commit \(commit.number)")
        }
        return try trie.isEqual(to: base)
            ? .good("\(trie.items) items, \(trie.byteCount) bytes, at commit \(commit.number)")
            : .bad("it differs from that of the index at commit \(commit.number)")
    }

    private func counts() throws -> Verdict {
        let counted = [
            ("live", tally.live, "item WHERE codes IS NOT NULL"), ("stale", tally.stale, "item WHERE status = 1"),
            ("quarantined", tally.quarantined, "item WHERE status = 2"),
            ("quarantined", tally.quarantined, "quarantine"), ("collisions", tally.collisions, "collision"),
            ("tombstones", tally.tombstones, "tombstone"),
        ]
        for (name, kept, source) in counted {
            let rows = try Int.fetchOne(database, sql: "SELECT count(*) FROM \(source)") ?? 0
            guard rows == kept else { return .bad("\(kept) are recorded as \(name), but there are \(rows)") }
        }
        return .good("live, stale, quarantined, collisions and tombstones are as recorded")
    }

    private func tombstones() throws -> Verdict {
        guard identity.policy != .share else { return .good("they block no item under the policy share") }
        let both = try ids("SELECT t.item FROM tombstone t JOIN identifier d ON d.codes = t.codes LIMIT 3")
        guard both.isEmpty else { return .bad("live items have the identifiers of these deleted ones: \(both)") }
        return .good("no live item has the identifier of a deleted one")
    }

    private func collisions() throws -> Verdict {
        let strange = try ids(
            """
            SELECT c.item FROM collision c LEFT JOIN item i ON i.id = c.item WHERE i.codes IS NOT c.codes LIMIT 3
            """)
        guard strange.isEmpty else {
            return .bad("collisions give these items identifiers they do not have: \(strange)")
        }
        // A live item has the natural codes of its embedding, or a collision row that says why not.
        let unexplained = try ids(
            """
            SELECT i.id FROM item i LEFT JOIN collision c ON c.item = i.id WHERE i.status = 0 AND i.codes IS NOT NULL
                AND NOT (i.natural IS NULL AND i.digest = zeroblob(16))
                AND i.natural IS NOT coalesce(c.bucket, substr(i.codes, 1, \(2 * identity.levels))) LIMIT 3
            """)
        guard unexplained.isEmpty else { return .bad("nothing explains the codes of these items: \(unexplained)") }
        return .good("every identifier is its item's natural codes, or a collision explains it")
    }

    /// The records of the journal must add up to the identifiers of the items.
    private func journalSum() throws -> Verdict {
        let path = index.paths.journal
        let noted = try IndexCommit.journal(database)
        let found = try OwnerSum.Journal(journal, upTo: noted?.commit)
        guard found.unreadable == 0 else { return .bad("\(found.unreadable) frames of \(path) cannot be read") }
        guard found.end != nil || noted == nil else { return .bad("\(path) does not reach the index's last commit") }
        let items = try OwnerSum(itemsOf: database)
        return found.sum == items
            ? .good("\(items.rows) identifiers, as in the index")
            : .bad("\(path) adds up to \(found.sum.rows) identifiers, the index has \(items.rows), or they differ")
    }

    private func ids(_ sql: String) throws -> String {
        let statement = try PreparedStatement(database, sql)
        var ids: [String] = []
        while try statement.step() { ids.append(ItemID(unchecked: statement.bytes(0)).text) }
        return ids.joined(separator: ", ")
    }
}
