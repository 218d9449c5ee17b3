import Core
import Files
import Foundation
import GRDB
import Glibc
import TestSupport
import Testing

@testable import SQLiteStore

/// Faults of SQLite and the disk; those that need a whole process are in Tools/torture.
@Suite("Faults of a store")
struct StoreFaultTests {
    let folder = TemporaryDirectory()

    private func open() throws -> SQLiteStore {
        let schema = Array("-- migration 1: first\nCREATE TABLE t (a BLOB) STRICT;\n".utf8)
        return try SQLiteStore(
            path: folder["test.sqlite"], settings: .init(applicationID: 77, migrations: Migrations(schema: schema)))
    }

    private func logSize() -> Int {
        var status = stat()
        return stat(folder["test.sqlite-wal"], &status) == 0 ? Int(status.st_size) : 0
    }

    @Test func `the write-ahead log is checkpointed when it has grown, and does not grow without bound`() throws {
        let store = try open()
        var largest = 0
        for _ in 0..<24 {
            // 2 MiB each: in all three times what a log may have.
            try store.write { try $0.execute(sql: "INSERT INTO t (a) VALUES (randomblob(2097152))") }
            largest = max(largest, logSize())
        }
        #expect(largest > 8 << 20)
        #expect(largest < 24 << 20)
        // The negative control: with a reader in the way it does grow, and nothing fails because of that.
        try DatabaseQueue(path: folder["test.sqlite"]).read { reader in
            #expect(try Int.fetchOne(reader, sql: "SELECT count(*) FROM t") == 24)
            for _ in 0..<16 {
                try store.write { try $0.execute(sql: "INSERT INTO t (a) VALUES (randomblob(2097152))") }
            }
        }
        #expect(logSize() > largest)
        #expect(try store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 40)
    }

    /// Makes the folder as a process leaves it that dies while it writes the first page of a file, or a later one.
    private func interruptedTransaction(pagesBefore: Int) throws {
        let (file, copy) = (folder["test.sqlite"], folder["copy.sqlite"])
        let queue = try DatabaseQueue(path: copy)
        if pagesBefore > 0 {
            try queue.writeWithoutTransaction { try $0.execute(sql: "CREATE TABLE foreign_table (a)") }
        }
        try queue.writeWithoutTransaction { database in
            // No cache: pages reach the file before the commit.
            try database.execute(sql: "PRAGMA cache_size = 1; BEGIN IMMEDIATE; CREATE TABLE other (a)")
            for _ in 0..<40 { try database.execute(sql: "INSERT INTO other VALUES (randomblob(3000))") }
            for suffix in ["", "-journal"] {
                try FileManager.default.copyItem(atPath: copy + suffix, toPath: file + suffix)
            }
            try database.execute(sql: "ROLLBACK")
        }
    }

    @Test func `a file whose creation was interrupted is created again`() throws {
        try interruptedTransaction(pagesBefore: 0)
        let store = try open()
        #expect(try store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 0)
        #expect(try store.read { try String.fetchOne($0, sql: "PRAGMA integrity_check") } == "ok")
    }

    @Test func `another program's file with an unfinished transaction is left alone`() throws {
        try interruptedTransaction(pagesBefore: 1)
        let before = FileManager.default.contents(atPath: folder["test.sqlite"])
        #expect(throws: StoreError.self) { try open() }
        #expect(FileManager.default.contents(atPath: folder["test.sqlite"]) == before)
        #expect(FileManager.default.fileExists(atPath: folder["test.sqlite-journal"]))
    }

    private static let reasons: [(ResultCode, StoreReason)] = [
        (.SQLITE_IOERR_FSYNC, .sync), (.SQLITE_IOERR_DIR_FSYNC, .sync), (.SQLITE_IOERR_WRITE, .writeFailed),
        (.SQLITE_IOERR_SHMSIZE, .writeFailed), (.SQLITE_FULL, .diskFull), (.SQLITE_IOERR_SHORT_READ, .damaged),
        (.SQLITE_IOERR_READ, .io), (.SQLITE_BUSY, .busy),
    ]

    @Test(arguments: reasons)
    func `each error of SQLite has its reason, and failed syncs and I/O errors are fatal`(
        code: ResultCode, reason: StoreReason
    ) {
        let error = StoreError(DatabaseError(resultCode: code), path: "x")
        #expect(error.reason == reason)
        #expect(error.isFatal == [.sync, .io].contains(reason))
        #expect(!error.remedy.isEmpty)
    }

    @Test func `a failed fsync of another file of the store is fatal, a full disk is not`() {
        #expect(StoreError(FilesError.sync("x", errno: EIO), path: "x").isFatal)
        let full = StoreError(FilesError.system("write", "x", errno: ENOSPC), path: "x")
        #expect(full.code == "store.disk_full" && !full.isFatal && full.isRetryable)
    }
}
