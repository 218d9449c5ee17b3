import GRDB
import SQLiteStore
import Core

/// The row of the table `cursor`.
extension CatalogCursor {
    /// Reads the cursor that a connection sees; nil if there is none.
    init?(_ database: Database) throws {
        let statement = try PreparedStatement(
            database,
            """
            SELECT device, inode, catalog_transaction, boot, log_epoch, log_sequence, log_nonce FROM cursor
            """)
        defer { statement.reset() }
        guard try statement.step() else { return nil }
        func number(_ column: Int32) -> UInt64 { UInt64(bitPattern: Int64(statement.integer(column))) }
        let epoch = statement.bytes(4)
        self.init(
            version: CatalogVersion(
                device: number(0), inode: number(1), transaction: number(2), boot: statement.text(3)),
            log: epoch.count == 16
                ? LogPosition(epoch: epoch.reduce(0) { $0 << 8 | UInt128($1) }, sequence: number(5), nonce: number(6))
                : nil)
    }

    /// Writes the cursor; `now` in milliseconds since 1970.
    func write(_ database: Database, now: Int) throws {
        let statement = try PreparedStatement(
            database,
            """
            INSERT OR REPLACE INTO cursor
                (one, device, inode, catalog_transaction, boot, at, log_epoch, log_sequence, log_nonce)
            VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        statement.bind(1, Int(bitPattern: UInt(version.device)))
        statement.bind(2, Int(bitPattern: UInt(version.inode)))
        statement.bind(3, Int(bitPattern: UInt(version.transaction)))
        statement.bind(4, text: version.boot)
        statement.bind(5, now)
        if let log {
            withUnsafeBytes(of: log.epoch.bigEndian) { statement.bind(6, $0) }
            statement.bind(7, Int(bitPattern: UInt(log.sequence)))
            statement.bind(8, Int(bitPattern: UInt(log.nonce)))
        } else {
            for column in Int32(6)...8 { statement.bindNull(column) }
        }
        try statement.run()
    }
}
