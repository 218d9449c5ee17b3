import Files
import GRDB

extension SQLiteStore {
    /// What was done to a database before it was used.
    package struct Opening: Sendable {
        /// How long `PRAGMA quick_check` took; nil if the file is new or was closed cleanly, and so was not checked.
        package var checked: Duration?
        /// The version that its schema had, and the copy that was made before the migration; nil if there was none.
        package var migrated: (from: Int, backup: String)?

        /// Whether the file existed and had not been closed cleanly.
        package var wasUnclean: Bool { checked != nil }
    }

    /// Runs `PRAGMA quick_check`. O(size of the file).
    ///
    /// - Throws: `StoreError` (`damaged`) with the first contradictions found.
    static func quickCheck(_ database: Database, path: String, repair: String) throws {
        let found = try String.fetchAll(database, sql: "PRAGMA quick_check(3)")
        guard found == ["ok"] else {
            throw StoreError.damaged(path, found.joined(separator: "; "), remedy: repair)
        }
    }

    /// Runs `PRAGMA integrity_check` on a reading connection, which also compares indexes with their tables.
    /// O(size of the file · log rows).
    ///
    /// - Returns: what it finds, at most `limit` lines; nothing if the file is whole.
    /// - Throws: `StoreError` where the file cannot be read.
    package func integrityProblems(limit: Int = 10) throws -> [String] {
        try problems("PRAGMA integrity_check(\(limit))")
    }

    /// Runs `PRAGMA quick_check` on a reading connection: as `integrityProblems`, without comparing indexes with their
    /// tables. O(size of the file).
    ///
    /// - Returns: what it finds, at most `limit` lines; nothing if the file is whole.
    /// - Throws: `StoreError` where the file cannot be read.
    package func quickProblems(limit: Int = 10) throws -> [String] {
        try problems("PRAGMA quick_check(\(limit))")
    }

    private func problems(_ check: String) throws -> [String] {
        try read { database in
            let found = try String.fetchAll(database, sql: check)
            return found == ["ok"] ? [] : found
        }
    }

    /// Where the copy lies that is made before a migration from a version: `index.sqlite` → `index.v1.backup.sqlite`.
    package static func backupPath(of path: String, version: Int) -> String {
        (path.hasSuffix(".sqlite") ? String(path.dropLast(".sqlite".count)) : path) + ".v\(version).backup.sqlite"
    }

    /// Copies the database to `target`, replacing what is there. O(size of the file).
    ///
    /// - Throws: `StoreError`; what was at `target` stays then.
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

    /// Copies the database to `target`. O(size of the file).
    ///
    /// The copy is made and checked under a temporary name, so `target` never holds an incomplete one.
    static func backUp(_ database: Database, to target: String, version: Int) throws {
        let copy = try AtomicFile(target, name: .fixed)
        try database.execute(sql: "VACUUM INTO ?", arguments: [copy.temporary])
        try verifyCopy(copy.temporary, version: version)
        try copy.publish()
    }

    private static func verifyCopy(_ path: String, version: Int) throws {
        let repair = "Check the disk; the original was not changed."
        var configuration = Configuration()
        configuration.readonly = true
        let copy = try DatabaseQueue(path: path, configuration: configuration)
        try copy.read { database in
            try quickCheck(database, path: path, repair: repair)
            let found = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            guard found == version else {
                throw StoreError.damaged(
                    path, "the copy has schema \(found) where \(version) was copied", remedy: repair)
            }
        }
        try copy.close()
    }

    /// Copies a database whose schema is about to be migrated, and removes the copies of other versions.
    static func backUpBeforeMigration(_ database: Database, path: String, version: Int) throws -> String {
        let target = backupPath(of: path, version: version)
        try backUp(database, to: target, version: version)
        // One copy is kept: that of the version before this one.
        for old in 1..<max(version, 1) { try FileSystem.removeTree(backupPath(of: path, version: old)) }
        return target
    }
}
