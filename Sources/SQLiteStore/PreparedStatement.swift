package import GRDB
import GRDBSQLite
package import Core

/// A cached statement for loops over many rows: binds, steps and reads through SQLite's own calls.
///
/// GRDB's rows and arguments cost microseconds a row; these cost what SQLite costs. Valid inside the database access
/// that made it.
package struct PreparedStatement {
    private let statement: Statement
    private let handle: OpaquePointer
    private let database: Database

    /// SQLite is to copy bound bytes at once.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// The connection's cached statement for this SQL, reset.
    package init(_ database: Database, _ sql: String) throws {
        statement = try database.cachedStatement(sql: sql)
        handle = statement.sqliteStatement
        self.database = database
        sqlite3_reset(handle)
    }

    /// Binds parameter `index` (from 1).
    package func bind(_ index: Int32, _ bytes: some Sequence<UInt8>) {
        let bound: Void? = bytes.withContiguousStorageIfAvailable { bind(index, buffer: UnsafeRawBufferPointer($0)) }
        if bound == nil { Array(bytes).withUnsafeBytes { bind(index, buffer: $0) } }
    }

    private func bind(_ index: Int32, buffer: UnsafeRawBufferPointer) {
        guard let start = buffer.baseAddress, buffer.count > 0 else {
            sqlite3_bind_zeroblob(handle, index, 0)
            return
        }
        sqlite3_bind_blob(handle, index, start, Int32(buffer.count), Self.transient)
    }

    package func bind(_ index: Int32, _ value: Int) {
        sqlite3_bind_int64(handle, index, Int64(value))
    }

    package func bind(_ index: Int32, _ value: Double) {
        sqlite3_bind_double(handle, index, value)
    }

    /// Binds codes as two bytes a level, big-endian.
    package func bind(_ index: Int32, _ codes: Identifier) {
        withUnsafeTemporaryAllocation(byteCount: 2 * Identifier.maximumLength, alignment: 2) { buffer in
            for level in 0..<codes.count {
                buffer.storeBytes(of: codes[level].bigEndian, toByteOffset: 2 * level, as: UInt16.self)
            }
            bind(index, buffer: UnsafeRawBufferPointer(rebasing: buffer[..<(2 * codes.count)]))
        }
    }

    /// Binds the sixteen bytes of a digest, big-endian.
    package func bind(_ index: Int32, _ digest: Digest) {
        withUnsafeTemporaryAllocation(byteCount: Digest.byteCount, alignment: 8) { buffer in
            buffer.storeBytes(of: digest.high.bigEndian, toByteOffset: 0, as: UInt64.self)
            buffer.storeBytes(of: digest.low.bigEndian, toByteOffset: 8, as: UInt64.self)
            bind(index, buffer: UnsafeRawBufferPointer(buffer))
        }
    }

    package func bind(_ index: Int32, text: String) {
        sqlite3_bind_text(handle, index, text, -1, Self.transient)
    }

    package func bindNull(_ index: Int32) {
        sqlite3_bind_null(handle, index)
    }

    /// Moves to the next row; false at the end. After the end, or an error, the statement is ready to run again.
    package func step() throws -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE:
            sqlite3_reset(handle)
            return false
        case let code:
            let message = String(cString: sqlite3_errmsg(sqlite3_db_handle(handle)))
            sqlite3_reset(handle)
            throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message, sql: statement.sql)
        }
    }

    /// Runs a statement that gives no rows. Returns how many rows it changed.
    @discardableResult
    package func run() throws -> Int {
        while try step() {}
        return Int(sqlite3_changes(sqlite3_db_handle(handle)))
    }

    /// Ends a run before its last row.
    package func reset() { sqlite3_reset(handle) }

    /// The number in column `index` (from 0) of the current row.
    package func integer(_ index: Int32) -> Int { Int(sqlite3_column_int64(handle, index)) }

    package func double(_ index: Int32) -> Double { sqlite3_column_double(handle, index) }

    package func text(_ index: Int32) -> String {
        sqlite3_column_text(handle, index).map { String(cString: $0) } ?? ""
    }

    /// The bytes of a column, copied.
    package func bytes(_ index: Int32) -> [UInt8] { withBytes(index) { Array($0) } }

    /// Adds the bytes of a column to `target`.
    package func append(_ index: Int32, to target: inout [UInt8]) { withBytes(index) { target.append(contentsOf: $0) } }

    /// The codes in a column; nil if it is null or holds no codes.
    package func identifier(_ index: Int32) -> Identifier? {
        withBytes(index) { $0.isEmpty ? nil : Identifier(bytes: $0) }
    }

    /// The digest in a column; zero if it does not hold sixteen bytes.
    package func digest(_ index: Int32) -> Digest {
        withBytes(index) { bytes in
            guard bytes.count == Digest.byteCount else { return Digest(high: 0, low: 0) }
            return Digest(
                high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    private func withBytes<R>(_ index: Int32, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let count = Int(sqlite3_column_bytes(handle, index))
        return body(UnsafeRawBufferPointer(start: sqlite3_column_blob(handle, index), count: count))
    }
}
