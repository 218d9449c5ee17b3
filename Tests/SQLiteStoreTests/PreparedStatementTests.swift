import Core
import GRDB
import TestSupport
import Testing

@testable import SQLiteStore

@Suite("Prepared statements")
struct PreparedStatementTests {
    let folder = TemporaryDirectory()

    private func store(rows: Int) throws -> SQLiteStore {
        let schema = "-- migration 1: first\nCREATE TABLE t (a INTEGER NOT NULL PRIMARY KEY, b INTEGER) STRICT;\n"
        let store = try SQLiteStore(
            path: folder["test.sqlite"],
            settings: .init(applicationID: 77, migrations: Migrations(schema: Array(schema.utf8))))
        try store.write { database in
            let insert = try PreparedStatement(database, "INSERT INTO t (a, b) VALUES (?, ?)")
            for row in 0..<rows {
                insert.bind(1, row)
                insert.bind(2, row / 2)
                try insert.run()
            }
        }
        return store
    }

    @Test func `a loop over rows is not disturbed by the same SQL run in its body`() throws {
        let store = try store(rows: 6)
        let sql = "SELECT a FROM t WHERE b >= ? ORDER BY a"
        let seen = try store.read { database in
            var seen: [[Int]] = []
            let outer = try PreparedStatement(database, sql)
            outer.bind(1, 1)
            // Bounded: a statement that is reset in each round would begin again and again.
            while try outer.step(), seen.count < 20 {
                let inner = try PreparedStatement(database, sql)
                inner.bind(1, 2)
                var row = [outer.integer(0)]
                while try inner.step() { row.append(inner.integer(0)) }
                seen.append(row)
            }
            return seen
        }
        #expect(seen == [[2, 4, 5], [3, 4, 5], [4, 4, 5], [5, 4, 5]])
    }

    @Test func `two statements with the same SQL have their own parameters`() throws {
        let store = try store(rows: 4)
        let found = try store.read { database in
            let one = try PreparedStatement(database, "SELECT b FROM t WHERE a = ?")
            let other = try PreparedStatement(database, "SELECT b FROM t WHERE a = ?")
            one.bind(1, 0)
            other.bind(1, 3)
            return try [one.step() ? one.integer(0) : -1, other.step() ? other.integer(0) : -1]
        }
        #expect(found == [0, 1])
    }

    @Test func `a statement is reused once no value holds it, and does not keep its transaction open`() throws {
        let store = try store(rows: 4)
        let sql = "SELECT a FROM t ORDER BY a"
        try store.read { database in
            func handle() throws -> UInt {
                let statement = try database.cachedStatement(sql: sql)
                return UInt(bitPattern: statement.sqliteStatement)
            }
            let before = try handle()
            for _ in 0..<3 {
                let statement = try PreparedStatement(database, sql)
                // Left on its first row.
                #expect(try statement.step() && statement.integer(0) == 0)
            }
            #expect(try handle() == before, "the cached statement stays the connection's")
        }
        // A read transaction that stayed open would still see four rows.
        try store.write { try $0.execute(sql: "INSERT INTO t (a) VALUES (9)") }
        for _ in 0..<8 { #expect(try store.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 5) }
    }

    @Test func `values that share a statement by copying share its rows`() throws {
        let store = try store(rows: 3)
        let rows = try store.read { database in
            let statement = try PreparedStatement(database, "SELECT a FROM t ORDER BY a")
            let copy = statement
            return try [statement.step() ? statement.integer(0) : -1, copy.step() ? copy.integer(0) : -1]
        }
        #expect(rows == [0, 1])
    }
}
