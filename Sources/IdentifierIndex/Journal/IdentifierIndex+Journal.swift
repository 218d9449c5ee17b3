import Files
import GRDB
import SQLiteStore
import Core

extension IdentifierIndex {
    /// What was done about the journal when the index was opened.
    package enum JournalOpening: Sendable, Equatable {
        /// It is the index's; what a commit that did not happen had left was cut off.
        case found
        /// There was none, or it could not be used and was put aside under this name: it was written from the index.
        case written(aside: String?)
    }

    /// Where the journal of an index lies.
    package static func journalPath(of path: String) -> String { sibling(of: path, "journal") }

    /// A file beside an index: `index.sqlite` → `index.NAME`.
    static func sibling(of path: String, _ name: String) -> String {
        (path.hasSuffix(".sqlite") ? String(path.dropLast("sqlite".count)) : path + ".") + name
    }

    /// Opens the journal that belongs to an index.
    ///
    /// - Throws: `index.older_than_journal` if the journal tells of commits that the index has not: an old copy was put
    ///   in its place, or it was lost. Going on would give identifiers away that others were promised.
    static func openJournal(
        of path: String, store: SQLiteStore, identity: IndexIdentity
    ) throws -> (AssignmentJournal, JournalOpening) {
        let journal = journalPath(of: path)
        let fingerprint = AssignmentJournal.fingerprint(generation: identity.generation, model: identity.model)
        let (commit, noted) = try store.read { (try IndexCommit($0), try IndexCommit.journal($0)) }
        guard FileSystem.exists(journal) else {
            return try writeJournal(journal, store: store, identity: identity, fingerprint: fingerprint, aside: nil)
        }
        var ahead: Set<Int> = []
        var last: AssignmentJournal.Position?
        // The noted frame alone is read where all is well; the whole journal where it is not there.
        let isThere = try noted.map { try hasFrame($0, journal) } ?? false
        let isWhole = try AssignmentJournal.read(
            journal, fingerprint: fingerprint, from: isThere ? noted?.end ?? 0 : AssignmentJournal.headerBytes
        ) { frame in
            last = frame.position
            if frame.position.commit > commit.number { ahead.insert(frame.position.commit) }
        }
        // One commit may not have happened. More have, and what came of them was answered; and where the index does not
        // know the journal's frames at all, nothing of it may be thrown away.
        if ahead.contains(where: { $0 > commit.number + 1 }) || (!isThere && !ahead.isEmpty) {
            throw olderThanJournal(
                "The index \(path) is at commit \(commit.number); its journal goes to \(ahead.max() ?? 0).")
        }
        if isThere, let noted {
            let opened = try AssignmentJournal(path: journal, end: noted.end)
            try opened.cutOff()
            return (opened, .found)
        }
        // An empty journal of an index without a commit is as good as none.
        let aside = isWhole && last == nil ? nil : journal + ".damaged"
        if let aside { try FileSystem.rename(journal, to: aside) }
        return try writeJournal(journal, store: store, identity: identity, fingerprint: fingerprint, aside: aside)
    }

    /// Whether there is no index at `path` yet.
    ///
    /// - Throws: `index.older_than_journal` or `index.no_journal` rather than to begin anew in the place of one that was
    ///   lost: its journal is there, or `mustExist` says that it was there once.
    static func isNew(_ path: String, identity: IndexIdentity, mustExist: Bool) throws -> Bool {
        // An empty file is one whose making was interrupted, or one that was cut off.
        if FileSystem.exists(path), try OpenFile(path, .read).size() > 0 { return false }
        let journal = journalPath(of: path)
        guard FileSystem.exists(journal) else {
            guard mustExist else { return true }
            throw IndexError(
                .noJournal, "The index \(path) is lost, and so is its journal.",
                remedy: "Restore the generation's folder from a backup, or publish the model as a new generation.")
        }
        var frames = 0
        let fingerprint = AssignmentJournal.fingerprint(generation: identity.generation, model: identity.model)
        _ = try AssignmentJournal.read(journal, fingerprint: fingerprint) {
            if !$0.records.isEmpty { frames += 1 }
        }
        if frames > 0 { throw olderThanJournal("The index \(path) is lost; its journal is there.") }
        return true
    }

    private static func olderThanJournal(_ message: String) -> IndexError {
        IndexError(
            .olderThanJournal, message,
            remedy:
                "Stop letterd, run `letter index rebuild`, which makes the index again from its journal, and start it.")
    }

    private static func hasFrame(_ position: AssignmentJournal.Position, _ path: String) throws -> Bool {
        let file = try OpenFile(path, .read)
        return try AssignmentJournal.frame(of: file, at: position.start, size: try file.size())?.position == position
    }

    /// Writes the journal of an index anew from its rows: an index from before there were journals, or one whose
    /// journal was damaged, has one from then on. O(items).
    private static func writeJournal(
        _ path: String, store: SQLiteStore, identity: IndexIdentity, fingerprint: UInt64, aside: String?
    ) throws -> (AssignmentJournal, JournalOpening) {
        let position = try store.read { database in
            let commit = try IndexCommit(database)
            return try AssignmentJournal.write(
                path, fingerprint: fingerprint, policy: identity.policy, commit: commit.number, nonce: commit.nonce,
                time: 0
            ) { try readAssignments(database, identity: identity, into: $0) }
        }
        try store.write { try IndexCommit.write(position, $0) }
        return (try AssignmentJournal(path: path, end: position.end), .written(aside: aside))
    }

    /// Gives `write` the records of all identifiers that items have or left, a block at a time.
    static func readAssignments(
        _ database: Database, identity: IndexIdentity, into write: (AssignmentRecord) throws -> Void
    ) throws {
        var record = AssignmentRecord()
        func flush(atLeast bytes: Int) throws {
            guard record.bytes.count >= bytes, !record.bytes.isEmpty else { return }
            try write(record)
            record = AssignmentRecord()
        }
        let items = try PreparedStatement(
            database,
            """
            SELECT i.id, i.codes, c.bucket, c.rank, c.rule FROM item i LEFT JOIN collision c ON c.item = i.id
            WHERE i.codes IS NOT NULL ORDER BY i.id
            """)
        while try items.step() {
            guard let codes = items.identifier(1) else { continue }
            let bucket = items.identifier(2)
            record.given(
                codes, to: ItemID(unchecked: items.bytes(0)),
                bucket: identity.policy == .reassign ? bucket ?? codes : codes.prefix(identity.levels),
                collision: bucket == nil ? nil : (items.integer(3), items.text(4)))
            try flush(atLeast: AssignmentJournal.blockBytes)
        }
        let tombstones = try PreparedStatement(
            database, "SELECT codes, item, bucket, deleted, since FROM tombstone ORDER BY item, since")
        while try tombstones.step() {
            guard let codes = tombstones.identifier(0), let bucket = tombstones.identifier(2) else { continue }
            record.stands(
                codes, of: ItemID(unchecked: tombstones.bytes(1)), bucket: bucket,
                isDeleted: tombstones.integer(3) == 1, since: tombstones.integer(4))
            try flush(atLeast: AssignmentJournal.blockBytes)
        }
        try flush(atLeast: 1)
    }
}
