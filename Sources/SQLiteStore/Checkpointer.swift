import GRDB
import GRDBSQLite
import Synchronization

/// Checkpoints the write-ahead log when it has grown, and reports failures.
///
/// SQLite's automatic checkpoint discards its errors, a failed fsync among them.
final class Checkpointer: Sendable {
    /// Pages in the log after the last commit.
    private let pages = Atomic(0)
    /// Number of pages from which on it is checkpointed (16 MiB).
    private static let most = 4_096

    /// Replaces the automatic checkpoint of a writing connection; must outlive that connection.
    func takeOver(_ database: Database) {
        sqlite3_wal_hook(
            database.sqliteConnection,
            { context, _, _, pages in
                if let context {
                    Unmanaged<Checkpointer>.fromOpaque(context).takeUnretainedValue()
                        .pages.store(Int(pages), ordering: .relaxed)
                }
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// After a commit: checkpoints the log if it is long.
    ///
    /// - Throws: `DatabaseError` if an fsync failed. After any other failure the log is still valid and in use, and the
    ///   next commit tries again.
    func committed(_ database: Database) throws {
        guard pages.load(ordering: .relaxed) >= Self.most else { return }
        do {
            _ = try database.checkpoint(.passive)
        } catch let error as DatabaseError where StoreError.isSyncFailure(error) {
            throw error
        } catch {}
    }
}
