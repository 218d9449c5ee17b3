package import GRDB
import GRDBSQLite
import Synchronization
package import Core

/// A statement for loops over many rows: binds, steps and reads through SQLite's own calls.
///
/// GRDB's rows and arguments cost microseconds a row; these cost what SQLite costs. Statements are cached by connection
/// and SQL, and each value has one of its own: two values with the same SQL do not disturb each other. Valid inside the
/// database access that made it.
///
/// ```swift
/// let statement = try PreparedStatement(database, "SELECT codes FROM item WHERE id = ?")
/// statement.bind(1, id.bytes)
/// defer { statement.reset() }
/// return try statement.step() ? statement.identifier(0) : nil
/// ```
package struct PreparedStatement {
    private let lease: StatementLease
    private let handle: OpaquePointer

    /// Makes SQLite copy bound bytes at once.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// A statement for this SQL, ready to run. The connection's cached one if no other value uses it, which takes well
    /// under a microsecond; else a new one, which takes SQLite's time to compile it.
    ///
    /// - Throws: `DatabaseError` if the SQL cannot be compiled.
    package init(_ database: Database, _ sql: String) throws {
        lease = try StatementLease(database, sql)
        handle = lease.statement.sqliteStatement
    }

    /// Binds bytes to parameter `index` (from 1).
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

    /// Binds an integer.
    package func bind(_ index: Int32, _ value: Int) {
        sqlite3_bind_int64(handle, index, Int64(value))
    }

    /// Binds a real number.
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

    /// Binds text.
    package func bind(_ index: Int32, text: String) {
        sqlite3_bind_text(handle, index, text, -1, Self.transient)
    }

    /// Binds NULL.
    package func bindNull(_ index: Int32) {
        sqlite3_bind_null(handle, index)
    }

    /// Moves to the next row; false at the end. After the end, or an error, the statement is ready to run again.
    ///
    /// - Throws: `DatabaseError`.
    package func step() throws -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE:
            sqlite3_reset(handle)
            return false
        case let code:
            let message = String(cString: sqlite3_errmsg(sqlite3_db_handle(handle)))
            sqlite3_reset(handle)
            throw DatabaseError(resultCode: ResultCode(rawValue: code), message: message, sql: lease.statement.sql)
        }
    }

    /// Runs a statement to its end. Returns how many rows it changed.
    ///
    /// - Throws: `DatabaseError`.
    @discardableResult
    package func run() throws -> Int {
        while try step() {}
        return Int(sqlite3_changes(sqlite3_db_handle(handle)))
    }

    /// Ends a run before its last row; the statement is ready to run again, its parameters as they were.
    package func reset() { sqlite3_reset(handle) }

    /// The integer in column `index` (from 0) of the current row; 0 if it is null.
    package func integer(_ index: Int32) -> Int { Int(sqlite3_column_int64(handle, index)) }

    /// The real number in a column; 0 if it is null.
    package func double(_ index: Int32) -> Double { sqlite3_column_double(handle, index) }

    /// The text in a column; empty if it is null.
    package func text(_ index: Int32) -> String {
        sqlite3_column_text(handle, index).map { String(cString: $0) } ?? ""
    }

    /// The bytes of a column, copied; empty if it is null.
    package func bytes(_ index: Int32) -> [UInt8] { withBytes(index) { Array($0) } }

    /// Appends the bytes of a column to `target`.
    package func append(_ index: Int32, to target: inout [UInt8]) { withBytes(index) { target.append(contentsOf: $0) } }

    /// The codes in a column; nil if it is null or does not hold codes.
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

/// A statement that no one else uses while this exists: one `PreparedStatement` and its copies hold it.
///
/// GRDB caches one statement for each SQL of a connection and gives it to every caller. Without the lease a loop over
/// rows whose body runs the same SQL would find its own statement reset, and start over.
private final class StatementLease {
    let statement: Statement
    /// What the lease is registered under; nil for a statement that is not the cached one.
    private let key: UInt?

    /// Cached statements in use, of all connections, by their addresses.
    private static let inUse = Mutex<Set<UInt>>([])

    init(_ database: Database, _ sql: String) throws {
        let cached = try database.cachedStatement(sql: sql)
        let key = UInt(bitPattern: cached.sqliteStatement)
        if Self.inUse.withLock({ $0.insert(key).inserted }) {
            statement = cached
            self.key = key
        } else {
            statement = try database.makeStatement(sql: sql)
            self.key = nil
        }
    }

    deinit {
        guard let key else { return }
        // A statement that stands on a row would keep its transaction open.
        sqlite3_reset(statement.sqliteStatement)
        Self.inUse.withLock { _ = $0.remove(key) }
    }
}
