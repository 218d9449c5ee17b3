import Files
import GRDB
import SQLiteStore
import Core

/// What was done about the journal when an index was opened.
package enum JournalOpening: Sendable, Equatable {
    /// It belongs to the index; an uncommitted frame, if there was one, was truncated.
    case found
    /// There was none, or it was unusable and was renamed to `aside`: a new one was written from the index.
    case written(aside: String?)
}

extension JournalOpening {
    /// Whether there is no index yet.
    ///
    /// - Throws: `index.older_than_journal` or `index.no_journal` rather than to begin a new index in the place of a lost
    ///   one: its journal is there, or `mustExist` says that the index existed.
    static func isNew(_ paths: IndexPaths, identity: IndexIdentity, mustExist: Bool) throws -> Bool {
        // An empty file is one whose creation was interrupted, or one that was truncated.
        if FileSystem.exists(paths.database), try OpenFile(paths.database, .read).size() > 0 { return false }
        guard FileSystem.exists(paths.journal) else {
            guard mustExist else { return true }
            throw IndexError(
                .noJournal, "The index \(paths.database) is lost, and so is its journal.",
                remedy: "Restore the generation's folder from a backup, or publish the model as a new generation.")
        }
        var hasRecords = false
        try JournalFormat.read(try OpenFile(paths.journal, .read), of: identity) {
            hasRecords = !$0.records.isEmpty
            return !hasRecords
        }
        if hasRecords { throw olderThanJournal("The index \(paths.database) is lost; its journal is there.") }
        return true
    }

    /// Opens the journal that belongs to an index.
    ///
    /// O(1) where the frame that the index names is in its place; else O(size of the journal).
    ///
    /// - Throws: `index.older_than_journal` if the journal has commits that the index lacks: the index was lost, or an old
    ///   copy was put in its place. Continuing would give identifiers to new items that other items already have.
    static func open(
        _ paths: IndexPaths, store: SQLiteStore, identity: IndexIdentity
    ) throws -> (AssignmentJournal, JournalOpening) {
        // What a compaction that was cut off left.
        try FileSystem.removeTree(paths.journal + ".tmp")
        guard FileSystem.exists(paths.journal) else {
            return try write(paths.journal, store: store, identity: identity, aside: nil)
        }
        let (commit, noted) = try store.read { (try IndexCommit($0), try IndexCommit.journal($0)) }
        let found = try Contents(paths.journal, identity: identity, commit: commit, noted: noted)
        // One commit may not have happened. If there are more, clients have seen what they gave; and if the index does not
        // know the frames of the journal at all, none of them may be discarded.
        if found.ahead.contains(where: { $0 > commit.number + 1 }) || (found.last == nil && !found.ahead.isEmpty) {
            throw olderThanJournal(
                "The index \(paths.database) is at commit \(commit.number); its journal goes to \(found.ahead.max() ?? 0)."
            )
        }
        if let last = found.last {
            let journal = try AssignmentJournal(path: paths.journal, last: last)
            try journal.truncateUncommitted()
            if last != noted { try store.write { try IndexCommit.write(last, $0) } }
            return (journal, .found)
        }
        // An empty journal of an index without a commit can simply be replaced.
        let aside = found.isEmpty ? nil : paths.journal + ".damaged"
        if let aside { try FileSystem.rename(paths.journal, to: aside) }
        return try write(paths.journal, store: store, identity: identity, aside: aside)
    }

    /// What a journal holds, compared with what its index says of it.
    private struct Contents {
        /// The last frame of the commit that the index names; nil if the journal has none.
        var last: JournalPosition?
        /// Numbers of commits that the index does not have.
        var ahead: Set<Int> = []
        /// Whether the journal is whole and has no frames.
        var isEmpty = false

        /// - Parameters:
        ///   - commit: the last commit of the index.
        ///   - noted: where the index says that the last frame is.
        init(_ path: String, identity: IndexIdentity, commit: IndexCommit, noted: JournalPosition?) throws {
            let file = try OpenFile(path, .read)
            let size = try file.size()
            let inPlace = try noted.flatMap { noted in
                try JournalFormat.frame(of: file, at: noted.start, size: size).flatMap {
                    $0.position == noted ? noted : nil
                }
            }
            var count = 0
            // After a death between the last two steps of a compaction the frame is not where the index says; its commit
            // still names it. All frames of a snapshot have the same commit, so the last one counts.
            let isWhole = try JournalFormat.read(
                file, of: identity, from: inPlace?.end ?? JournalFormat.headerBytes
            ) { frame in
                count += 1
                if frame.position.commit == noted?.commit { last = frame.position }
                if frame.position.commit.number > commit.number { ahead.insert(frame.position.commit.number) }
                return true
            }
            if inPlace == nil, !isWhole {
                // Frames may be missing in the middle: what was found need not be the last one.
                last = nil
            } else if last == nil {
                last = inPlace
            }
            isEmpty = isWhole && count == 0
        }
    }

    private static func olderThanJournal(_ message: String) -> IndexError {
        IndexError(
            .olderThanJournal, message,
            remedy:
                "Stop letterd, run `letter index rebuild`, which makes the index again from its journal, and start it.")
    }

    /// Writes a journal from the rows of an index: one that had none, or whose journal was damaged. O(items).
    private static func write(
        _ path: String, store: SQLiteStore, identity: IndexIdentity, aside: String?
    ) throws -> (AssignmentJournal, JournalOpening) {
        do {
            let last = try store.read { database in
                try AtomicFile.write(path, name: .fixed) {
                    try JournalSnapshot(database, identity: identity, to: $0, commit: try IndexCommit(database)).last
                }
            }
            try store.write { try IndexCommit.write(last, $0) }
            return (try AssignmentJournal(path: path, last: last), .written(aside: aside))
        } catch let error as FilesError {
            throw StoreError(error, path: path)
        }
    }
}
