import GRDB
import GRDBSQLite
import Synchronization

/// Moves the write-ahead log into the file when it has grown, and sees whether that went well.
///
/// SQLite's automatic checkpoint drops its errors, a failed fsync among them.
final class Checkpointer: Sendable {
    /// Pages of the log after the last commit.
    private let pages = Atomic(0)
    /// Pages from which on it is moved (16 MiB).
    private static let most = 4_096

    /// Takes the place of the automatic checkpoint of a writing connection; must live as long as it is written to.
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

    /// After a commit: moves the log into the file if it is long.
    ///
    /// - Throws: `DatabaseError` if an fsync failed. Any other failure leaves the log as it was, whole and in use, for
    ///   the next commit to try again.
    func committed(_ database: Database) throws {
        guard pages.load(ordering: .relaxed) >= Self.most else { return }
        do {
            _ = try database.checkpoint(.passive)
        } catch let error as DatabaseError where StoreError.isSyncFailure(error) {
            throw error
        } catch {}
    }
}
