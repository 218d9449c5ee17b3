package import GRDB
import Glibc
import Synchronization
import Core

/// A database of the state directory: one writing connection, a pool of reading ones, and their settings.
///
/// WAL with `synchronous = FULL`: a commit survives a power loss. Only one connection writes and checkpoints, because
/// SQLite before 3.51.3 can corrupt a file in which two do.
package final class SQLiteStore: Sendable {
    /// The file.
    package let path: String
    /// Connections to it; GRDB keeps one writer and a pool of read-only ones.
    package let pool: DatabasePool
    private let checkpointer = Checkpointer()
    /// The first failed fsync: nothing is written after it.
    private let syncFailure = Mutex<StoreError?>(nil)
    /// What to do if the file is damaged.
    private let repair: String

    /// Connections to files whose fsync failed; never closed, because closing would fsync again and could hide the
    /// failure.
    private static let abandoned = Mutex<[DatabasePool]>([])
    /// What was done to the file before it was used.
    package let opening: Opening
    private let mark: CleanMark

    /// Settings of a store.
    package struct Settings: Sendable {
        /// `PRAGMA application_id`, by which another application's file is recognised.
        package var applicationID: Int32
        /// The schema.
        package var migrations: Migrations
        /// What to do if the file is damaged: the remedy of that error.
        package var repair: String
        /// Most reading connections at a time.
        package var readers = 4
        /// Page cache of the writer in KiB.
        package var writerCache = 65_536
        /// Page cache of each reader in KiB.
        package var readerCache = 16_384

        /// Settings with the usual number of readers and the usual caches.
        package init(applicationID: Int32, migrations: Migrations, repair: String = StoreError.restoreRemedy) {
            self.applicationID = applicationID
            self.migrations = migrations
            self.repair = repair
        }
    }

    /// Opens the database at `path`, or makes it, and migrates its schema.
    ///
    /// A file that was not closed cleanly is checked first (`PRAGMA quick_check`, 0.2 s a million rows). Before a
    /// migration a copy of the file is made next to it.
    ///
    /// - Throws: `StoreError`: `foreign` (another application's file), `newer` (written by a later version; it is left
    ///   untouched), `damaged`, `cannot_open`, `busy`.
    package init(path: String, settings: Settings) throws(StoreError) {
        self.path = path
        repair = settings.repair
        var opened: DatabasePool?
        mark = CleanMark(database: path)
        do {
            let exists = access(path, F_OK) == 0
            if exists { try Self.checkOwner(path, settings) }
            let mustCheck = exists && !mark.isValid
            try mark.remove()
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            configuration.maximumReaderCount = settings.readers
            configuration.foreignKeysEnabled = true
            configuration.prepareDatabase { database in
                let cache = database.configuration.readonly ? settings.readerCache : settings.writerCache
                // Debian's SQLite overwrites deleted data with zeros, which slows every delete; nothing here is secret.
                try database.execute(
                    sql: """
                        PRAGMA cache_size = -\(cache); PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0;
                        PRAGMA secure_delete = OFF
                        """)
            }
            pool = try DatabasePool(path: path, configuration: configuration)
            opened = pool
            opening = try pool.writeWithoutTransaction { [checkpointer] database in
                var opening = Opening()
                if mustCheck {
                    let start = ContinuousClock.now
                    try Self.quickCheck(database, path: path, repair: settings.repair)
                    opening.checked = start.duration(to: .now)
                }
                let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
                if version > 0, version < settings.migrations.latest {
                    let backup = try Self.backUpBeforeMigration(database, path: path, version: version)
                    opening.migrated = (version, backup)
                }
                // GRDB sets NORMAL for WAL, with which a power loss can undo commits; an identifier that a client has
                // seen must survive one.
                try database.execute(sql: "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0")
                checkpointer.takeOver(database)
                try database.inTransaction(.immediate) {
                    try Self.migrate(database, settings)
                    return .commit
                }
                return opening
            }
        } catch let error as StoreError {
            throw error
        } catch {
            let error = StoreError(error, path: path, repair: settings.repair)
            if error.reason == .sync, let opened { Self.abandoned.withLock { $0.append(opened) } }
            throw error
        }
    }

    /// Runs `body` in an immediate write transaction: committed durably, or rolled back if `body` throws.
    ///
    /// - Throws: what `body` throws; `StoreError`. After `sync_failed` the contents of the disk are unknown: every later
    ///   call throws it again, and the process must end.
    package func write<R>(_ body: (Database) throws -> R) throws -> R {
        if let failure = syncFailure.withLock(\.self) { throw failure }
        do {
            return try pool.writeWithoutTransaction { database in
                var result: R?
                try database.inTransaction(.immediate) {
                    result = try body(database)
                    return .commit
                }
                guard let result else {
                    throw StoreError(.sqlite, "A transaction gave no result.", remedy: "This is a defect.")
                }
                try checkpointer.committed(database)
                return result
            }
        } catch let error as DatabaseError {
            let error = StoreError(error, path: path, repair: repair)
            if error.reason == .sync {
                Self.abandoned.withLock { $0.append(pool) }
                syncFailure.withLock { $0 = error }
            }
            throw error
        }
    }

    /// Runs `body` on a reading connection: everything it reads is one snapshot, taken before `body` begins.
    ///
    /// - Throws: what `body` throws; `StoreError`.
    package func read<R>(_ body: (Database) throws -> R) throws -> R {
        do {
            return try pool.read(body)
        } catch let error as DatabaseError {
            throw StoreError(error, path: path, repair: repair)
        }
    }

    /// Runs `body` on a reading connection; the snapshot is taken by the first statement of `body`, so `body` can take it
    /// while it holds a lock.
    ///
    /// - Throws: what `body` throws; `StoreError`.
    package func readFromFirstStatement<R>(_ body: (Database) throws -> R) throws -> R {
        do {
            return try pool.unsafeRead { database in
                var result: Result<R, any Error>?
                try database.inTransaction(.deferred) {
                    result = Result { try body(database) }
                    return .commit
                }
                guard let result else {
                    throw StoreError(.sqlite, "A transaction gave no result.", remedy: "This is a defect.")
                }
                return try result.get()
            }
        } catch let error as DatabaseError {
            throw StoreError(error, path: path, repair: repair)
        }
    }

    /// Checkpoints the write-ahead log, closes every connection, and marks the file as closed cleanly.
    ///
    /// - Throws: `StoreError`; the file is then checked when it is next opened.
    package func close() throws {
        do {
            _ = try pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
            try pool.close()
            try mark.write()
        } catch {
            throw StoreError(error, path: path, repair: repair)
        }
    }

    /// Refuses another application's file and a later version's, before anything is written to it.
    private static func checkOwner(_ path: String, _ settings: Settings) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        let queue: DatabaseQueue
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
        } catch let error as DatabaseError
            where error.extendedResultCode == .SQLITE_READONLY_ROLLBACK && RollbackJournal.undoesEverything(in: path)
        {
            // Its creation was interrupted: opening it for writing rolls it back to an empty file.
            return
        }
        let (application, version, objects) = try queue.read { database in
            (
                try Int32.fetchOne(database, sql: "PRAGMA application_id") ?? 0,
                try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0,
                try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
            )
        }
        try queue.close()
        // A file without a schema is one whose creation was interrupted.
        guard application == settings.applicationID || (application == 0 && version == 0 && objects == 0) else {
            throw StoreError(
                .foreign, "\(path) belongs to another application (application_id \(application)).",
                remedy: "Give letterd a state directory of its own.")
        }
        guard version <= settings.migrations.latest else {
            throw StoreError(
                .newer, "\(path) has schema \(version); this version knows \(settings.migrations.latest).",
                remedy: "Use the version of Letter that wrote it, or a later one; the file was not touched.")
        }
    }

    private static func migrate(_ database: Database, _ settings: Settings) throws {
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        for step in settings.migrations.steps where step.number > version {
            try database.execute(sql: step.sql)
            try database.execute(sql: "PRAGMA user_version = \(step.number)")
        }
        try database.execute(sql: "PRAGMA application_id = \(settings.applicationID)")
    }
}
