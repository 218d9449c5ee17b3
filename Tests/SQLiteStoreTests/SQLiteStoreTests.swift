import GRDB
import Glibc
import TestSupport
import Testing
import Core

@testable import SQLiteStore

@Suite("SQLiteStore")
struct SQLiteStoreTests {
    let folder = TemporaryDirectory()
    var path: String { folder["test.sqlite"] }

    private let one = "-- a comment\n-- migration 1: first\nCREATE TABLE t (a INTEGER) STRICT;\n"
    private let two = "-- migration 2: second\nALTER TABLE t ADD COLUMN b INTEGER;\n"

    private func open(_ schema: String, application: Int32 = 77) throws -> SQLiteStore {
        try SQLiteStore(
            path: path, settings: .init(applicationID: application, migrations: Migrations(schema: Array(schema.utf8))))
    }

    @Test func `migrations are applied in order, each once`() throws {
        let first = try open(one)
        try first.write { try $0.execute(sql: "INSERT INTO t (a) VALUES (1)") }
        try first.close()
        let second = try open(one + two)
        #expect(try second.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t WHERE b IS NULL") } == 1)
        #expect(try second.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == 2)
    }

    @Test func `commits are durable: write-ahead log, synchronous full`() throws {
        let store = try open(one)
        let settings = try store.pool.writeWithoutTransaction { database in
            [
                try String.fetchOne(database, sql: "PRAGMA journal_mode"),
                try String.fetchOne(database, sql: "PRAGMA synchronous"),
                try String.fetchOne(database, sql: "PRAGMA trusted_schema"),
            ]
        }
        #expect(settings == ["wal", "2", "0"])
    }

    @Test func `readers cannot write`() throws {
        let store = try open(one)
        #expect(throws: StoreError.self) { try store.read { try $0.execute(sql: "INSERT INTO t (a) VALUES (1)") } }
    }

    @Test func `a file of a later version or of another application is refused and not changed`() throws {
        try open(one + two).close()
        #expect(reason { try open(one) } == .newer)
        #expect(reason { try open(one + two, application: 78) } == .foreign)
        #expect(try open(one + two).read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == 2)
    }

    @Test func `a damaged file is reported as damaged`() throws {
        try [UInt8](repeating: 65, count: 4_096).withUnsafeBytes { bytes in
            let file = try #require(fopen(path, "w"))
            fwrite(bytes.baseAddress, 1, bytes.count, file)
            fclose(file)
        }
        #expect(reason { try open(one) } == .damaged)
    }

    @Test func `a write that throws is rolled back`() throws {
        let store = try open(one)
        struct Stop: Error {}
        #expect(throws: Stop.self) {
            try store.write { database in
                try database.execute(sql: "INSERT INTO t (a) VALUES (1)")
                throw Stop()
            }
        }
        #expect(try store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 0)
    }

    private func reason(_ body: () throws -> some Any) -> StoreReason? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? StoreError)?.reason
        }
    }
}
