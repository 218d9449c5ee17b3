import Files
import GRDB
import SQLiteStore
import Core

/// Makes an index again from its journal.
///
/// The new file is made next to the old one, checked, synced and renamed. Its items have neither a digest nor natural
/// codes: the daemon finds each of them changed, encodes it again and fills in the rest of its row. No identifier changes
/// by that.
package struct IndexRebuild: Sendable {
    /// What was rebuilt.
    package struct Outcome: Sendable, Hashable {
        /// Items that have the identifier they had.
        package var items = 0
        /// Identifiers that no other item may get.
        package var tombstones = 0
        /// Items whose identifier was found only in the damaged index, because the journal was damaged too.
        package var salvaged = 0
        /// Rows of history that could be read from the damaged index.
        package var history = 0
        /// Whether the journal was read to its end: then nothing is missing.
        package var isComplete = true
        /// Where the old files were moved.
        package var aside: [String] = []
    }

    private let paths: IndexPaths
    private var identity: IndexIdentity
    private var outcome = Outcome()

    /// Makes the index at `path` again. The daemon must not run. O(records of the journal · log items).
    ///
    /// - Parameter identity: what the index was made for; its policy counts only where neither file names one.
    /// - Throws: `index.no_journal` if there is nothing to make it from; `StoreError`. The old files stay as they are then.
    package static func run(path: String, identity: IndexIdentity) throws -> Outcome {
        var rebuild = IndexRebuild(path: path, identity: identity)
        return try rebuild.run()
    }

    private init(path: String, identity: IndexIdentity) {
        paths = IndexPaths(path)
        self.identity = identity
    }

    private mutating func run() throws -> Outcome {
        for suffix in ["", "-wal", "-shm", "-clean"] { try FileSystem.removeTree(paths.rebuilt + suffix) }
        guard FileSystem.exists(paths.journal) || FileSystem.exists(paths.database) else {
            throw IndexError(
                .noJournal, "There is neither \(paths.journal) nor \(paths.database).",
                remedy: "Restore one of them from a backup, or publish the model as a new generation.")
        }
        let store = try SQLiteStore(path: paths.rebuilt, settings: IndexFile.settings)
        let old = OldIndex(paths.database)
        // An index keeps its policy even if another one is configured now.
        let policy = JournalFormat.policy(paths.journal) ?? old.fact("policy").flatMap(CollisionPolicy.init)
        identity.policy = policy ?? identity.policy
        identity.arithmetic = old.fact("kernel")
        let last = try store.write { database in
            try identity.write(database)
            return try fill(database, old: old)
        }
        try OwnerSum.compareOwners(store, identity: identity, path: paths.rebuilt)
        try store.close()
        try OpenFile(paths.rebuilt, .read).sync()
        old.close()
        try swap(keepsJournal: last != nil)
        return outcome
    }

    /// Fills the empty tables. Returns the last frame of the journal if the journal stays in use.
    private mutating func fill(_ database: Database, old: OldIndex) throws -> JournalPosition? {
        let replay = try JournalReplay(database, identity: identity)
        var last: JournalPosition?
        var isWhole = false
        if FileSystem.exists(paths.journal) {
            isWhole = try JournalFormat.read(try OpenFile(paths.journal, .read), of: identity) { frame in
                var reader = ByteReader(frame.records)
                while !reader.isAtEnd {
                    guard let event = AssignmentEvent(&reader) else {
                        throw StoreError.damaged(paths.journal, "a record cannot be read")
                    }
                    try replay.apply(event, time: frame.time)
                }
                last = frame.position
                return true
            }
        }
        try replay.finish()
        outcome.isComplete = isWhole
        if !isWhole { outcome.salvaged = try old.salvage(into: replay, levels: identity.levels) }
        outcome.history = try old.copyHistory(into: database)
        (outcome.items, outcome.tombstones) = try replay.writeTrie()
        let commit = last?.commit ?? IndexCommit().next
        try commit.write(database)
        guard isWhole, let last else { return nil }
        try IndexCommit.write(last, database)
        return last
    }

    /// Puts the new file in the place of the old one. A crash on the way leaves a journal and no index: then the rebuild is
    /// run again.
    private mutating func swap(keepsJournal: Bool) throws {
        for suffix in ["", "-wal"] where FileSystem.exists(paths.database + suffix) {
            try FileSystem.rename(paths.database + suffix, to: paths.damaged + suffix)
            outcome.aside.append(paths.damaged + suffix)
        }
        // Useless without their database, and harmful with another one.
        for suffix in ["-shm", "-clean"] { try FileSystem.removeTree(paths.database + suffix) }
        try FileSystem.removeTree(paths.trie)
        if !keepsJournal, FileSystem.exists(paths.journal) {
            try FileSystem.rename(paths.journal, to: paths.journal + ".damaged")
            outcome.aside.append(paths.journal + ".damaged")
        }
        try FileSystem.rename(paths.rebuilt, to: paths.database)
        try FileSystem.removeTree(paths.rebuilt + "-clean")
    }
}
