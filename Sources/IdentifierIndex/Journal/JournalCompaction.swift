import Files
import GRDB
import SQLiteStore
import Synchronization
import Core

/// What a compaction of the journal did.
package struct JournalCompaction: Sendable {
    /// Bytes of the journal before and after.
    package var before: Int
    package var after: Int
    /// How long it took, in the background.
    package var took: Duration
    /// How long no chunk could be applied.
    package var blocked: Duration
}

extension JournalCompaction {
    /// When a journal is compacted.
    struct Settings: Sendable {
        /// A journal of at most this many bytes is left alone.
        var least = 16 << 20
        /// A longer one is compacted when it has more than so many times the bytes of a new one.
        var factor = 2
        /// Called as each step is done; a test can throw there, or copy the files as a process that dies there leaves them.
        var reached: @Sendable (Step) throws -> Void = { _ in }
    }

    /// The steps of a compaction, in their order.
    enum Step: Sendable, CaseIterable {
        /// The new journal holds what a snapshot of the index holds.
        case written
        /// It also has the frames that came since then, but for the last ones, and is on the disk.
        case caughtUp
        /// It has all frames, and the index names the place of its last one.
        case recorded
        /// It is in the place of the old one.
        case replaced
    }
}

/// Replaces the journal by a shorter one when most of its records are about identifiers that were left or reassigned since.
///
/// A new journal is written from a snapshot of the index, in the background, while chunks go on appending to the old one.
/// Then the frames that came since are copied. Only for the last of them and for the replacement itself no chunk is
/// applied. Decision 11 explains why index and journal agree after a death at any step.
final class JournalCompactor: Sendable {
    private let file: IndexFile
    private let settings: JournalCompaction.Settings
    private let background: @Sendable (@escaping @Sendable () -> Void) -> Void
    private let report: @Sendable (Result<JournalCompaction, any Error>) -> Void
    private let state: Mutex<State>
    /// Held by a compaction, so that `close` can wait for its end.
    private let running = Mutex(())
    private let isClosing = Atomic(false)

    private enum State: Sendable {
        /// None is under way. The next is considered when the journal has more than so many bytes.
        case waiting(Int)
        /// One is under way.
        case compacting
        /// What is on the disk is unknown: no chunk may be applied any more.
        case failed(any Error)
    }

    /// - Parameters:
    ///   - background: where journals are compacted.
    ///   - report: called there with what was done, or with the reason why the journal stays as it is.
    init(
        _ file: IndexFile, settings: JournalCompaction.Settings,
        background: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void,
        report: @escaping @Sendable (Result<JournalCompaction, any Error>) -> Void
    ) {
        self.file = file
        self.settings = settings
        self.background = background
        self.report = report
        state = Mutex(.waiting(settings.least))
    }

    /// Refuses a chunk after an fsync of a compaction failed: the process must end (decision 12).
    ///
    /// - Throws: `StoreError`, which is fatal.
    func confirmUsable() throws {
        if case .failed(let error) = state.withLock(\.self) { throw error }
    }

    /// Called after each chunk, without the index's lock: starts a compaction if the journal may need one. O(1).
    func chunkApplied() {
        let size = file.journal.size
        let mayNeedIt = state.withLock { state in
            guard case .waiting(let threshold) = state, size > threshold else { return false }
            state = .compacting
            return true
        }
        if mayNeedIt { background { self.run() } }
    }

    /// Ends a compaction that is under way, and waits until it has. No other begins.
    func close() {
        isClosing.store(true, ordering: .relaxed)
        running.withLock { _ in }
    }

    private func run() {
        running.withLock { _ in
            if isClosing.load(ordering: .relaxed) { return }
            do {
                let needed = try estimate()
                var size = file.journal.size
                if size > settings.factor * needed {
                    report(.success(try compact()))
                    size = file.journal.size
                }
                finish(.waiting(max(settings.least, settings.factor * min(needed, size))))
            } catch is CancellationError {
                finish(.waiting(.max))
            } catch {
                // Not tried again until the journal has grown by as much as one that is left alone.
                finish(Self.isFatal(error) ? .failed(error) : .waiting(file.journal.size + settings.least))
                report(.failure(error))
            }
        }
    }

    private static func isFatal(_ error: any Error) -> Bool { (error as? any Failure)?.isFatal ?? false }

    /// Leaves the state `compacting`; a failure stays one.
    private func finish(_ next: State) {
        state.withLock { state in
            if case .compacting = state { state = next }
        }
    }

    /// About how many bytes a new journal would have. O(identifiers).
    private func estimate() throws -> Int {
        let identity = file.identity
        return try file.store.read { database in
            func idBytes(_ table: String) throws -> Int {
                try Int.fetchOne(database, sql: "SELECT coalesce(sum(length(item)), 0) FROM \(table)") ?? 0
            }
            let tally = try Tally(database)
            let codes = 1 + 2 * identity.identifierLength
            let assignments = try idBytes(identity.identifierTable) + tally.live * (4 + codes)
            let tombstones = try idBytes("tombstone") + tally.tombstones * (11 + 2 * codes)
            // Each may have a frame of its own, for its time.
            return assignments + tombstones + tally.collisions * (60 + codes)
        }
    }

    private func compact() throws -> JournalCompaction {
        let start = ContinuousClock.now
        let before = file.journal.size
        do {
            let new = try AtomicFile(file.paths.journal, name: .fixed)
            var copy = try JournalCopy(
                file, to: try new.create(), isCancelled: { self.isClosing.load(ordering: .relaxed) })
            try settings.reached(.written)
            try copy.catchUp()
            try settings.reached(.caughtUp)
            let blocked = try file.lock.withLock {
                let start = ContinuousClock.now
                try replace(by: new, &copy)
                return start.duration(to: .now)
            }
            return JournalCompaction(
                before: before, after: copy.last.end, took: start.duration(to: .now), blocked: blocked)
        } catch let error as FilesError {
            throw StoreError(error, path: file.paths.journal)
        }
    }

    /// Records the place of the last frame in the index and puts the new journal in place; no chunk is applied meanwhile.
    private func replace(by new: AtomicFile, _ copy: inout JournalCopy) throws {
        // After `close` the database is gone.
        if isClosing.load(ordering: .relaxed) { throw CancellationError() }
        do {
            try copy.copyRest()
            let last = copy.last
            try file.store.write { try IndexCommit.write(last, $0) }
            try settings.reached(.recorded)
            // Should this fail, the index names a place in a file that never came: the next frame corrects that, and a
            // start finds the last frame by its commit.
            try new.publish()
            file.journal.replace(by: copy.target, last: last)
            try settings.reached(.replaced)
        } catch {
            // Noted before the lock is released: the next chunk must not write to a file whose sync failed.
            let error = error is FilesError ? StoreError(error, path: file.paths.journal) : error
            if Self.isFatal(error) { finish(.failed(error)) }
            throw error
        }
    }
}

/// A new journal while it is made: a snapshot of the index, then the frames of the old journal since that snapshot.
private struct JournalCopy {
    let target: OpenFile
    /// The last frame of the new journal.
    private(set) var last: JournalPosition
    private let source: OpenFile
    private let journal: AssignmentJournal
    /// Where the frames of the source begin that are not copied yet.
    private var position: Int

    /// How many bytes may be left to copy while no chunk is applied.
    private static let rest = 1 << 18

    /// Writes the snapshot.
    ///
    /// - Throws: `index.inconsistent` if the old journal does not give what the index holds: then it must stay, for one of
    ///   them is damaged.
    init(_ file: IndexFile, to target: OpenFile, isCancelled: @escaping () -> Bool) throws {
        self.target = target
        journal = file.journal
        source = journal.file
        let source = source
        (last, position) = try file.store.read { database in
            guard let noted = try IndexCommit.journal(database) else {
                throw IndexError(
                    .inconsistent, "The index \(file.paths.database) names no frame of its journal.",
                    remedy: "Restart letterd, which writes the journal again.")
            }
            let old = try OwnerSum.Journal(source, upTo: noted.commit)
            let snapshot = try JournalSnapshot(
                database, identity: file.identity, to: target, commit: noted.commit, isCancelled: isCancelled)
            guard let end = old.end, old.unreadable == 0, old.sum == snapshot.sum else {
                throw IndexError(
                    .inconsistent,
                    "The journal \(file.paths.journal) and its index contradict each other; it is not compacted.",
                    remedy: "Run `letter index verify`, which shows what is wrong.")
            }
            return (snapshot.last, end)
        }
    }

    /// Copies what chunks have appended since the snapshot, until little is left, and syncs it.
    mutating func catchUp() throws {
        // Chunks may append as fast as this copies: after a few rounds what is left is copied while none is applied.
        for _ in 0..<8 where journal.size - position > Self.rest { try copyRest() }
        try target.sync()
    }

    /// Copies what has been appended so far.
    mutating func copyRest() throws {
        let old = journal.last
        guard old.end > position else { return }
        while position < old.end {
            let bytes = try source.read(at: position, count: min(1 << 20, old.end - position))
            try target.write(bytes)
            position += bytes.count
            last.end += bytes.count
        }
        last = JournalPosition(commit: old.commit, start: last.end - (old.end - old.start), end: last.end)
    }
}
