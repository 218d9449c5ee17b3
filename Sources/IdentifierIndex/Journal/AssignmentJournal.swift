import Files
import SQLiteStore
import Synchronization
import Core

/// The record, outside the database, of which item got which identifier: `index.journal` next to `index.sqlite`.
///
/// An index can be made again from it alone, with every live identifier and every tombstone as they were. The records of a
/// chunk are on the disk before its transaction commits, so the journal never lacks what a client has seen. After a crash
/// at most one uncommitted frame remains at the end; the next start truncates it.
final class AssignmentJournal: Sendable {
    let path: String
    private let state: Mutex<State>

    private struct State: Sendable {
        /// The file at `path`; another one after a compaction.
        var file: OpenFile
        /// The last frame whose commit has happened. What comes after it belongs to no commit.
        var last: JournalPosition
    }

    /// The journal at `path` whose last frame is `last`.
    ///
    /// - Throws: `FilesError`.
    init(path: String, last: JournalPosition) throws {
        self.path = path
        state = Mutex(State(file: try OpenFile(path, .update), last: last))
    }

    /// The file, for reading. A compaction puts another one in its place; this one stays as it is then.
    var file: OpenFile { state.withLock { $0.file } }
    /// The frame of the last commit that wrote one.
    var last: JournalPosition { state.withLock { $0.last } }
    /// Bytes up to the end of that frame.
    var size: Int { last.end }

    /// Adds a frame, on the disk when this returns. It counts once `confirm` was called with its position.
    ///
    /// - Throws: `StoreError`: `disk_full`, `io`. What was written of it is truncated, now or before the next frame.
    func append(_ records: [UInt8], commit: IndexCommit, time: Int) throws -> JournalPosition {
        let (file, start) = state.withLock { ($0.file, $0.last.end) }
        let frame = JournalFormat.frame(records, commit: commit, time: time)
        do {
            // A frame of a commit that failed may be longer than this one.
            try file.truncate(to: start)
            try file.write(frame, at: start)
            try file.sync()
        } catch {
            try? file.truncate(to: start)
            throw StoreError(error, path: path)
        }
        return JournalPosition(commit: commit, start: start, end: start + frame.count)
    }

    /// The commit of a frame has happened.
    func confirm(_ position: JournalPosition) {
        state.withLock { $0.last = position }
        _checkInvariants()
    }

    /// Another file is at `path` now, with the same records up to the same commit.
    func replace(by file: OpenFile, last: JournalPosition) {
        state.withLock { $0 = State(file: file, last: last) }
        _checkInvariants()
    }

    /// Truncates what belongs to no commit.
    ///
    /// - Throws: `StoreError`.
    func truncateUncommitted() throws {
        do {
            if try file.size() > size {
                try file.truncate(to: size)
                try file.sync()
            }
        } catch {
            throw StoreError(error, path: path)
        }
        _checkInvariants()
    }
}

extension AssignmentJournal {
    #if LETTER_INTERNAL_CHECKS
        /// The last frame is where it should be, and the file does not end before it.
        func _checkInvariants() {
            do {
                let (file, last) = state.withLock { ($0.file, $0.last) }
                let size = try file.size()
                precondition(size >= last.end, "the journal ends before its last frame")
                let frame = try JournalFormat.frame(of: file, at: last.start, size: size)
                precondition(frame?.position == last, "the last frame of the journal is not where it should be")
            } catch {
                preconditionFailure("the journal cannot be read: \(error)")
            }
        }
    #else
        @inline(__always) func _checkInvariants() {}
    #endif
}
