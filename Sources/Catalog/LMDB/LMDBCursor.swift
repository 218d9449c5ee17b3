import CLMDB

/// Walks the records of a database in key order.
struct LMDBCursor: ~Copyable {
    private let handle: OpaquePointer
    private let environment: LMDBEnvironment
    private var begun = false
    private var previous: UnsafeRawBufferPointer?

    init(handle: OpaquePointer, environment: LMDBEnvironment) {
        self.handle = handle
        self.environment = environment
    }

    deinit { mdb_cursor_close(handle) }

    /// A record's bytes, valid until the transaction ends.
    struct Record {
        var key: UnsafeRawBufferPointer
        var value: UnsafeRawBufferPointer
    }

    /// The next record, or nil after the last. Nothing is copied.
    mutating func next() throws -> Record? {
        let record = try get(begun ? MDB_NEXT : MDB_FIRST)
        begun = true
        // A page in the wrong place shows in its keys; LMDB itself does not look.
        if let previous, let record, compareKeys(previous, record.key) >= 0 {
            throw CatalogError(PageDamage(page: 0, what: "the keys that a scan met are not in order"), environment.path)
        }
        previous = record?.key
        return record
    }

    /// Goes on in the snapshot that a renewed transaction has, to be followed by `seek`.
    mutating func renew(_ transaction: borrowing LMDBTransaction) throws {
        previous = nil
        try lmdb("mdb_cursor_renew", environment.path, mdb_cursor_renew(transaction.handle, handle))
    }

    /// The last record; nil if there is none.
    mutating func last() throws -> Record? {
        begun = true
        return try get(MDB_LAST)
    }

    /// The record with this key or the first one after it; nil if there is none. `next` goes on from there.
    mutating func seek(_ key: [UInt8]) throws -> Record? {
        begun = true
        let record = try key.withUnsafeBytes { bytes in
            try get(
                MDB_SET_RANGE,
                MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress)))
        }
        previous = record?.key
        return record
    }

    private func get(_ operation: MDB_cursor_op, _ key: MDB_val = MDB_val()) throws -> Record? {
        var key = key
        var value = MDB_val()
        let result = mdb_cursor_get(handle, &key, &value, operation)
        if result == MDB_NOTFOUND { return nil }
        try lmdb("mdb_cursor_get", environment.path, result)
        environment.recordsRead &+= 1
        return Record(
            key: UnsafeRawBufferPointer(start: key.mv_data, count: key.mv_size),
            value: UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size))
    }
}
