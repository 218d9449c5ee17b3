import Core
import Foundation
import GRDB
import TestSupport
import Testing

@testable import SQLiteStore

@Suite("Opening a database")
struct OpeningTests {
    let folder = TemporaryDirectory()
    var path: String { folder["test.sqlite"] }

    private static let schemas = [
        "-- migration 1: first\nCREATE TABLE t (a INTEGER NOT NULL, b TEXT) STRICT;\n",
        "-- migration 2: second\nALTER TABLE t ADD COLUMN c INTEGER;\n",
        "-- migration 3: third\nCREATE INDEX t_a ON t (a);\n",
    ]

    private static let repair = "Ask the owner of the file."

    private func open(_ path: String? = nil, version: Int = 1) throws -> SQLiteStore {
        let schema = Self.schemas.prefix(version).joined()
        return try SQLiteStore(
            path: path ?? self.path,
            settings: .init(
                applicationID: 77, migrations: Migrations(schema: Array(schema.utf8)), repair: Self.repair))
    }

    private func fill(_ store: SQLiteStore, rows: Int = 5_000) throws {
        try store.write { database in
            for row in 0..<rows {
                try database.execute(
                    sql: "INSERT INTO t (a, b) VALUES (?, ?)", arguments: [row, String(repeating: "x", count: 40)])
            }
        }
    }

    private func count(_ store: SQLiteStore) throws -> Int? {
        try store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") }
    }

    /// Overwrites bytes of a closed file.
    private func corrupt(_ path: String, at offset: UInt64, _ bytes: [UInt8]) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.seek(toOffset: offset)
        try file.write(contentsOf: bytes)
        try file.close()
    }

    @Test func `a file that was closed cleanly is not checked, one that was not is`() throws {
        let first = try open()
        #expect(!first.opening.wasUnclean, "a new file")
        try fill(first)
        // What a killed process leaves: the files as they are while the database is open.
        let copy = Process()
        copy.executableURL = URL(fileURLWithPath: "/bin/sh")
        copy.arguments = ["-c", "mkdir \(folder["dead"]) && cp \(path)* \(folder["dead"])/"]
        try copy.run()
        copy.waitUntilExit()
        try first.close()

        let second = try open()
        #expect(!second.opening.wasUnclean)
        try second.close()
        let dead = try open(folder["dead"] + "/test.sqlite")
        #expect(dead.opening.wasUnclean)
        #expect(try count(dead) == 5_000, "what was committed is there")
        try dead.close()
        let repaired = try open(folder["dead"] + "/test.sqlite")
        #expect(!repaired.opening.wasUnclean)
        try repaired.close()
    }

    @Test func `a file that changed after it was closed is checked`() throws {
        let store = try open()
        try fill(store)
        try store.close()
        // The same bytes, written again by another program.
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        try bytes.write(to: URL(fileURLWithPath: path))
        let again = try open()
        #expect(again.opening.wasUnclean)
        try again.close()
    }

    @Test func `damage is found in a file that was not closed cleanly, and only there`() throws {
        let store = try open()
        try fill(store)
        try store.close()
        let clean = CleanMark(database: path)
        // The type byte of a page in the middle.
        try corrupt(path, at: 4_096 * 20, [0x77])
        #expect(!clean.isValid)
        #expect {
            _ = try open()
        } throws: { error in
            guard let error = error as? StoreError else { return false }
            return error.reason == .damaged && error.remedy == Self.repair
        }
        // It stays refused.
        #expect(throws: StoreError.self) { _ = try open() }
        // The negative control: it is the check that finds it.
        try clean.write()
        let unchecked = try open()
        #expect(!unchecked.opening.wasUnclean)
    }

    @Test func `a file with an older schema is copied before it is migrated, and one copy is kept`() throws {
        let first = try open()
        try fill(first, rows: 100)
        try first.close()

        let second = try open(version: 2)
        let made = try #require(second.opening.migrated)
        #expect(made.from == 1)
        #expect(made.backup == folder["test.v1.backup.sqlite"])
        try fill(second, rows: 1)
        try second.close()
        let backup = try open(made.backup)
        #expect(try count(backup) == 100, "the copy is a whole database of the old version")
        #expect(try backup.read { try Int.fetchOne($0, sql: "PRAGMA application_id") } == 77)
        try backup.close()

        let same = try open(version: 2)
        #expect(same.opening.migrated == nil)
        try same.close()
        let third = try open(version: 3)
        #expect(third.opening.migrated?.backup == folder["test.v2.backup.sqlite"])
        try third.close()
        #expect(!FileManager.default.fileExists(atPath: made.backup))
        #expect(FileManager.default.fileExists(atPath: folder["test.v2.backup.sqlite"]))
    }

    @Test func `if the copy cannot be made nothing is migrated`() throws {
        let first = try open()
        try fill(first, rows: 100)
        try first.close()
        // A folder at the path of the copy: the copy cannot be renamed over it.
        let target = SQLiteStore.backupPath(of: path, version: 1)
        try FileManager.default.createDirectory(atPath: target + "/full", withIntermediateDirectories: true)
        #expect(throws: StoreError.self) { _ = try open(version: 2) }
        try FileManager.default.removeItem(atPath: target)
        let untouched = try open(version: 1)
        #expect(try untouched.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == 1)
        try untouched.close()
    }
}
