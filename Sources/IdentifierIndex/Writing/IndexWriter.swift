import GRDB
import SQLiteStore
import Trie
import Core

/// Applies chunks: one transaction, one frame of the journal and one update of the trie each.
final class IndexWriter: Sendable {
    private let index: IndexFile
    private let trie: IndexTrie
    private let compactor: JournalCompactor

    init(_ index: IndexFile, trie: IndexTrie, compactor: JournalCompactor) {
        self.index = index
        self.trie = trie
        self.compactor = compactor
    }

    /// See `IdentifierIndex.apply`.
    func apply(_ chunk: Chunk, distances: any ItemDistances, rules: AssignmentRules, now: Int) throws -> Tally {
        let tally = try index.lock.withLock {
            try compactor.confirmUsable()
            let applied = try index.store.write { database in
                let writer = try ChunkWriter(
                    database, identity: index.identity, rules: rules, distances: distances, now: now)
                try writer.apply(chunk)
                return try commit(writer.rows.record, tally: writer.rows.tally, now: now, database)
            }
            if let frame = applied.frame { index.journal.confirm(frame) }
            trie.publish(applied.changes, commit: applied.commit)
            return applied.tally
        }
        compactor.chunkApplied()
        return tally
    }

    /// What a transaction did.
    private struct Applied {
        var tally: Tally
        var changes: [TrieChange]
        var commit: IndexCommit
        /// Where its frame of the journal is, if it has one.
        var frame: JournalPosition?
    }

    /// Writes the commit's number, and its frame of the journal.
    private func commit(
        _ record: AssignmentRecord, tally: Tally, now: Int, _ database: Database
    ) throws -> Applied {
        let commit = try IndexCommit(database).next
        try commit.write(database)
        var frame: JournalPosition?
        if !record.bytes.isEmpty {
            // On the disk before the transaction commits: what a client has seen is always in the journal.
            let position = try index.journal.append(record.bytes, commit: commit, time: now)
            try IndexCommit.write(position, database)
            frame = position
        }
        return Applied(tally: tally, changes: record.changes, commit: commit, frame: frame)
    }

    /// Ends a compaction of the journal that is under way. No chunk is applied after this.
    func close() { compactor.close() }
}
