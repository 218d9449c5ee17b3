import Files
import GRDB
import SQLiteStore
import Core

/// Writes the shortest journal of an index: what it holds now, without how it came about.
///
/// Rebuilding from it gives the same items, identifiers, collisions and tombstones, with their times, as from the journal
/// of all changes. The frames of collisions have the times at which they were resolved; the other items have no times of
/// their own in a rebuilt index.
struct JournalSnapshot {
    /// The last frame.
    private(set) var last: JournalPosition
    /// The items and identifiers written.
    private(set) var sum = OwnerSum()
    private let file: OpenFile
    private let identity: IndexIdentity
    private let isCancelled: () -> Bool
    private var record = AssignmentRecord()
    /// Milliseconds since 1970, of the frame at hand.
    private var time = 0
    private var rows = 0

    /// Records of a frame; a frame is read into memory whole.
    private static let blockBytes = 1 << 20

    /// Writes into an empty file. O(items), plus sorting the collisions by time.
    ///
    /// - Parameters:
    ///   - commit: what the frames are marked with, the last one included; there is at least one.
    ///   - isCancelled: asked every few thousand rows.
    /// - Throws: `FilesError`, `DatabaseError`, `CancellationError`.
    init(
        _ database: Database, identity: IndexIdentity, to file: OpenFile, commit: IndexCommit,
        isCancelled: @escaping () -> Bool = { false }
    ) throws {
        self.file = file
        self.identity = identity
        self.isCancelled = isCancelled
        last = JournalPosition(commit: commit, start: JournalFormat.headerBytes, end: JournalFormat.headerBytes)
        try file.write(JournalFormat.header(of: identity))
        try writeItems(database)
        try writeCollisions(database)
        try writeTombstones(database)
        if last.end == JournalFormat.headerBytes { try writeFrame() }
    }

    /// Items without a collision row.
    private mutating func writeItems(_ database: Database) throws {
        // Both are read in key order: a join would search the table of collisions for each item.
        let collided = try PreparedStatement(database, "SELECT item FROM collision ORDER BY item")
        var nextCollided = try collided.step() ? collided.bytes(0) : nil
        let items = try PreparedStatement(
            database, "SELECT id, codes FROM item WHERE codes IS NOT NULL ORDER BY id")
        while try items.step() {
            let id = items.bytes(0)
            while let other = nextCollided, other.lexicographicallyPrecedes(id) {
                nextCollided = try collided.step() ? collided.bytes(0) : nil
            }
            guard nextCollided != id, let codes = items.identifier(1) else { continue }
            let item = ItemID(unchecked: id)
            record.given(codes, to: item, bucket: identity.policy == .reassign ? codes : codes.prefix(identity.levels))
            sum.add(item, codes)
            try endRow()
        }
        collided.reset()
        try flush()
    }

    private mutating func writeCollisions(_ database: Database) throws {
        let collisions = try PreparedStatement(
            database,
            """
            SELECT c.item, i.codes, c.bucket, c.rank, c.rule, c.since FROM collision c JOIN item i ON i.id = c.item
            WHERE i.codes IS NOT NULL ORDER BY c.since, c.item
            """)
        while try collisions.step() {
            guard let codes = collisions.identifier(1), let bucket = collisions.identifier(2) else { continue }
            if collisions.integer(5) != time {
                try flush()
                time = collisions.integer(5)
            }
            let item = ItemID(unchecked: collisions.bytes(0))
            record.given(
                codes, to: item, bucket: identity.policy == .reassign ? bucket : codes.prefix(identity.levels),
                collision: (collisions.integer(3), collisions.text(4)))
            sum.add(item, codes)
            try endRow()
        }
        try flush()
        time = 0
    }

    private mutating func writeTombstones(_ database: Database) throws {
        let tombstones = try PreparedStatement(
            database, "SELECT codes, item, bucket, deleted, since FROM tombstone ORDER BY item, since")
        while try tombstones.step() {
            guard let codes = tombstones.identifier(0), let bucket = tombstones.identifier(2) else { continue }
            record.stands(
                codes, of: ItemID(unchecked: tombstones.bytes(1)), bucket: bucket,
                isDeleted: tombstones.integer(3) == 1, since: tombstones.integer(4))
            try endRow()
        }
        try flush()
    }

    private mutating func endRow() throws {
        rows += 1
        if rows % 4_096 == 0, isCancelled() { throw CancellationError() }
        if record.bytes.count >= Self.blockBytes { try flush() }
    }

    private mutating func flush() throws {
        guard !record.bytes.isEmpty else { return }
        try writeFrame()
        record = AssignmentRecord()
    }

    private mutating func writeFrame() throws {
        let frame = JournalFormat.frame(record.bytes, commit: last.commit, time: time)
        try file.write(frame)
        last.start = last.end
        last.end += frame.count
    }
}
