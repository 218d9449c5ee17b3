import Files
import GRDB

extension SQLiteStore {
    /// What was done to a database before it was used.
    package struct Opening: Sendable {
        /// How long `PRAGMA quick_check` took, where the file was not closed in order; nil: it was, or it is new.
        package var checked: Duration?
        /// The version that its schema had, and the copy that was made before it was brought up to date.
        package var migrated: (from: Int, backup: String)?

        /// Whether the file was there and had not been closed in order.
        package var wasUnclean: Bool { checked != nil }
    }

    /// Runs `PRAGMA quick_check`. O(size of the file).
    ///
    /// - Throws: `StoreError` (`damaged`) with the first thing that it finds.
    static func quickCheck(_ database: Database, path: String) throws {
        let found = try String.fetchAll(database, sql: "PRAGMA quick_check(3)")
        guard found == ["ok"] else {
            throw StoreError.damaged(path, found.joined(separator: "; "))
        }
    }

    /// Runs `PRAGMA integrity_check` on a reading connection, which also compares indexes with their tables.
    ///
    /// - Returns: what it finds, at most `limit` lines; nothing if all is well.
    package func integrityProblems(limit: Int = 10) throws -> [String] {
        try read { database in
            let found = try String.fetchAll(database, sql: "PRAGMA integrity_check(\(limit))")
            return found == ["ok"] ? [] : found
        }
    }

    /// The same with `PRAGMA quick_check`, which leaves out that comparison.
    package func quickProblems(limit: Int = 10) throws -> [String] {
        try read { database in
            let found = try String.fetchAll(database, sql: "PRAGMA quick_check(\(limit))")
            return found == ["ok"] ? [] : found
        }
    }

    /// Where the copy that is made before a migration from a version lies: `index.sqlite` → `index.v1.backup.sqlite`.
    package static func backupPath(of path: String, version: Int) -> String {
        (path.hasSuffix(".sqlite") ? String(path.dropLast(".sqlite".count)) : path) + ".v\(version).backup.sqlite"
    }

    /// Copies the database to `target`, replacing what is there. O(size of the file).
    ///
    /// - Throws: `StoreError`; what is at `target` stays as it is then.
    package func backUp(to target: String) throws {
        do {
            try pool.writeWithoutTransaction { database in
                let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
                try Self.backUp(database, to: target, version: version)
            }
        } catch {
            throw StoreError(error, path: target)
        }
    }

    /// Copies the database to `target`: written beside it, checked, synced, renamed.
    ///
    /// O(size of the file). What is at `target` stays as it is until the copy is whole.
    static func backUp(_ database: Database, to target: String, version: Int) throws {
        let temporary = target + ".tmp"
        try FileSystem.removeTree(temporary)
        do {
            try database.execute(sql: "VACUUM INTO ?", arguments: [temporary])
            try verifyCopy(temporary, version: version)
            try OpenFile(temporary, .read).sync()
            try FileSystem.rename(temporary, to: target)
        } catch {
            try? FileSystem.removeTree(temporary)
            throw error
        }
    }

    private static func verifyCopy(_ path: String, version: Int) throws {
        var configuration = Configuration()
        configuration.readonly = true
        let copy = try DatabaseQueue(path: path, configuration: configuration)
        try copy.read { database in
            try quickCheck(database, path: path)
            let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            guard found == version else {
                throw StoreError.damaged(path, "the copy has schema \(found) where \(version) was copied")
            }
        }
        try copy.close()
    }

    /// Copies a database whose schema is about to be brought up to date, and removes copies of other versions.
    static func backUpBeforeMigration(_ database: Database, path: String, version: Int) throws -> String {
        let target = backupPath(of: path, version: version)
        try backUp(database, to: target, version: version)
        // One copy is kept: of the version before this one.
        for old in 1..<max(version, 1) { try FileSystem.removeTree(backupPath(of: path, version: old)) }
        return target
    }
}
