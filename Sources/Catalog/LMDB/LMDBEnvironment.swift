import CLMDB
import Glibc
import Synchronization
import Core

/// Turns an LMDB result that is not 0 into a `CatalogError` that says what to do.
func lmdb(_ what: String, _ path: String, _ result: Int32) throws {
    guard result == 0 else { throw lmdbError(what, path, result) }
}

/// The error for an LMDB result or an errno.
func lmdbError(_ what: String, _ path: String, _ result: Int32) -> CatalogError {
    let text = String(cString: mdb_strerror(result))
    let message = "\(what) failed on the catalog \(path): \(text)."
    switch result {
    case MDB_NOTFOUND:
        return CatalogError(.lmdb, message, remedy: "This is a defect; please report it.")
    case ENOENT:
        return CatalogError(
            .missing, "There is no catalog at \(path).",
            remedy: "Check the path, or make one with `letter catalog init \(path) --dimension D`.")
    case EACCES, EPERM, EROFS:
        return CatalogError(
            .permission, message,
            remedy:
                "Give this user read access to data.mdb and read and write access to lock.mdb (LMDB readers register there)."
        )
    case MDB_VERSION_MISMATCH:
        return CatalogError(
            .versionMismatch, message,
            remedy:
                "Another process holds it open with, or wrote it with, an LMDB of another format; use LMDB 0.9 (not 0.9.70 or later)."
        )
    case MDB_INVALID, MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_PANIC:
        return CatalogError(
            .damaged, message, remedy: "Restore data.mdb from a copy (mdb_copy), or write the catalog anew.")
    case MDB_READERS_FULL:
        return CatalogError(
            .readersFull, message,
            remedy: "Too many readers hold the catalog open; `mdb_stat -rr` lists and clears dead ones.")
    case ENOSPC, MDB_MAP_FULL:
        return CatalogError(.full, message, remedy: "Free space on the disk, then try again.")
    case EBUSY, EAGAIN:
        return CatalogError(.busy, message, remedy: "Try again in a moment.")
    default:
        return CatalogError(
            .lmdb, message, remedy: "See the message; `letter catalog verify` checks the whole catalog.")
    }
}

/// Which file a path names; LMDB must not open one file twice in a process, for closing it drops the locks of both.
struct FileIdentity: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64

    init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    /// The identity of `path`, or nil if it cannot be read.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }

    /// The identity of an open file, or nil if it cannot be read.
    init?(descriptor: Int32) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}

/// An open LMDB environment. Not Sendable: all calls come from one thread at a time.
final class LMDBEnvironment {
    let handle: OpaquePointer
    let path: String
    /// Identity of data.mdb when it was opened.
    let identity: FileIdentity
    /// Records that were looked at since it was opened: what tests of "no scan" count.
    var recordsRead = 0

    /// Files that this process holds open.
    private static let open = Mutex<Set<FileIdentity>>([])

    /// Named databases that this process may hold handles of.
    private static let maximumDatabases: UInt32 = 16

    /// Opens the environment in the folder `path`.
    ///
    /// - Parameters:
    ///   - flags: LMDB's environment flags.
    ///   - mapSize: bytes of address space; 0 takes what the file says.
    /// - Throws: `CatalogError`: missing, permission, damaged, version mismatch, already open.
    init(path: String, flags: Int32, mapSize: Int) throws {
        var handle: OpaquePointer?
        try lmdb("mdb_env_create", path, mdb_env_create(&handle))
        guard let handle else { throw CatalogError(.lmdb, "LMDB gave no environment.", remedy: "Free some memory.") }
        var claimed: FileIdentity?
        do {
            try lmdb("mdb_env_set_maxdbs", path, mdb_env_set_maxdbs(handle, Self.maximumDatabases))
            try lmdb("mdb_env_set_mapsize", path, mdb_env_set_mapsize(handle, mapSize))
            // Refuse before opening: to open and close again would already have dropped the other handle's locks.
            if let (before, bytes) = FileIdentity.withSize(path + "/data.mdb") {
                // LMDB takes an empty file for a new environment, also where it may not write one.
                guard flags & MDB_RDONLY == 0 || bytes >= Self.metaBytes else {
                    throw CatalogError.truncated(path, size: bytes, required: Self.metaBytes)
                }
                try Self.claim(before, path)
                claimed = before
            }
            try lmdb("mdb_env_open", path, mdb_env_open(handle, path, UInt32(flags), 0o660))
            var descriptor: mdb_filehandle_t = -1
            try lmdb("mdb_env_get_fd", path, mdb_env_get_fd(handle, &descriptor))
            // LMDB 0.9.24 opens the data file without O_CLOEXEC; a child that inherits it could drop our locks.
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            // Of the open file, not of the path: another one may have been moved there meanwhile.
            guard let identity = FileIdentity(descriptor: descriptor) else { throw lmdbError("fstat", path, errno) }
            if identity != claimed {
                if let before = claimed { Self.release(before) }
                claimed = nil
                try Self.claim(identity, path)
                claimed = identity
            }
            self.identity = identity
        } catch {
            mdb_env_close(handle)
            if let claimed { Self.release(claimed) }
            throw error
        }
        self.handle = handle
        self.path = path
    }

    deinit {
        mdb_env_close(handle)
        Self.release(identity)
    }

    private static func claim(_ identity: FileIdentity, _ path: String) throws {
        guard open.withLock({ $0.insert(identity).inserted }) else {
            throw CatalogError(
                .alreadyOpen, "The catalog \(path) is open already in this process.",
                remedy: "Use the handle that is there: LMDB's locks are lost when a file is opened twice.")
        }
    }

    private static func release(_ identity: FileIdentity) {
        _ = open.withLock { $0.remove(identity) }
    }

    /// Transaction number of the last commit. Nanoseconds; no transaction is begun.
    var lastTransaction: UInt64 {
        var info = MDB_envinfo()
        mdb_env_info(handle, &info)
        return UInt64(bitPattern: Int64(info.me_last_txnid))
    }

    /// Bytes of address space that the map has.
    var mapSize: Int {
        var info = MDB_envinfo()
        mdb_env_info(handle, &info)
        return Int(info.me_mapsize)
    }

    /// Slots of readers that died are freed. Returns how many.
    @discardableResult
    func clearDeadReaders() -> Int {
        var dead: Int32 = 0
        mdb_reader_check(handle, &dead)
        return Int(dead)
    }
}

/// LMDB's map is full: a writer doubles it and begins again.
struct MapFull: Error {}

/// A transaction of one thread: ends with `commit`, or is aborted when it goes out of scope.
struct LMDBTransaction: ~Copyable {
    let environment: LMDBEnvironment
    /// Nil once LMDB has ended the transaction.
    private var live: OpaquePointer?
    let handle: OpaquePointer

    /// Begins a transaction; a map that another process has grown is mapped anew first.
    ///
    /// - Precondition: the caller holds no other transaction of this environment (LMDB unmaps beneath it).
    init(_ environment: LMDBEnvironment, readOnly: Bool) throws {
        self.environment = environment
        var transaction: OpaquePointer?
        let flags = readOnly ? UInt32(MDB_RDONLY) : 0
        var result = mdb_txn_begin(environment.handle, nil, flags, &transaction)
        if result == MDB_MAP_RESIZED {
            try lmdb("mdb_env_set_mapsize", environment.path, mdb_env_set_mapsize(environment.handle, 0))
            result = mdb_txn_begin(environment.handle, nil, flags, &transaction)
        }
        if result == MDB_READERS_FULL, environment.clearDeadReaders() > 0 {
            result = mdb_txn_begin(environment.handle, nil, flags, &transaction)
        }
        try lmdb("mdb_txn_begin", environment.path, result)
        guard let transaction else {
            throw CatalogError(.lmdb, "LMDB gave no transaction.", remedy: "Free some memory.")
        }
        handle = transaction
        live = transaction
    }

    deinit { if let live { mdb_txn_abort(live) } }

    /// The transaction's number: of the snapshot it reads, or of the commit it will be.
    var number: UInt64 { UInt64(bitPattern: Int64(mdb_txn_id(handle))) }

    /// Lets go of the snapshot that a reading transaction has; nothing may be read before `renew`.
    func release() { mdb_txn_reset(handle) }

    /// Takes the newest snapshot, after `release`; what was read before is no longer valid.
    func renew() throws {
        var result = mdb_txn_renew(handle)
        if result == MDB_MAP_RESIZED {
            try lmdb("mdb_env_set_mapsize", environment.path, mdb_env_set_mapsize(environment.handle, 0))
            result = mdb_txn_renew(handle)
        }
        try lmdb("mdb_txn_renew", environment.path, result)
    }

    /// Commits. On failure nothing of it is in the catalog.
    ///
    /// - Throws: `MapFull`.
    consuming func commit() throws {
        // Whatever the result is, LMDB frees the transaction.
        live = nil
        try written("mdb_txn_commit", mdb_txn_commit(handle))
    }

    /// The handle of a named database, or nil if there is none and `create` is false.
    ///
    /// - Throws: `format` if its keys are not in plain byte order.
    func database(_ name: String, create: Bool = false) throws -> LMDBDatabase? {
        var index: MDB_dbi = 0
        let result = mdb_dbi_open(handle, name, create ? UInt32(MDB_CREATE) : 0, &index)
        if result == MDB_NOTFOUND, !create { return nil }
        try written("opening the database '\(name)'", result)
        var flags: UInt32 = 0
        try lmdb("mdb_dbi_flags", environment.path, mdb_dbi_flags(handle, index, &flags))
        guard flags & UInt32(MDB_REVERSEKEY | MDB_INTEGERKEY | MDB_DUPSORT) == 0 else {
            throw CatalogError(
                .format,
                "The database '\(name)' of \(environment.path) has flags \(flags): its keys are not in plain byte order.",
                remedy: "Write it anew without MDB_REVERSEKEY, MDB_INTEGERKEY and MDB_DUPSORT.")
        }
        return LMDBDatabase(index: index)
    }

    /// How many named databases (and other entries) the unnamed one has. O(1).
    func namedDatabases() throws -> Int {
        var main: MDB_dbi = 0
        try lmdb("mdb_dbi_open", environment.path, mdb_dbi_open(handle, nil, 0, &main))
        return try count(LMDBDatabase(index: main))
    }

    /// How many entries a database has. O(1).
    func count(_ database: LMDBDatabase) throws -> Int {
        var statistics = MDB_stat()
        try lmdb("mdb_stat", environment.path, mdb_stat(handle, database.index, &statistics))
        return Int(statistics.ms_entries)
    }

    /// Calls `body` with the value of a key, or with nil. The bytes are valid during the call only. O(log n).
    func value<R>(_ database: LMDBDatabase, _ key: [UInt8], _ body: (UnsafeRawBufferPointer?) throws -> R) throws -> R {
        try key.withUnsafeBytes { bytes in
            var key = MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            var value = MDB_val()
            let result = mdb_get(handle, database.index, &key, &value)
            if result == MDB_NOTFOUND { return try body(nil) }
            try lmdb("mdb_get", environment.path, result)
            environment.recordsRead &+= 1
            return try body(UnsafeRawBufferPointer(start: value.mv_data, count: value.mv_size))
        }
    }

    /// Writes a record; LMDB copies the bytes. O(log n).
    ///
    /// - Parameter append: the key must come after all others, which saves the search for its place.
    /// - Throws: `MapFull`.
    func put(_ database: LMDBDatabase, key: [UInt8], value: [UInt8], append: Bool = false) throws {
        let result = key.withUnsafeBytes { key in
            value.withUnsafeBytes { value in
                var key = MDB_val(mv_size: key.count, mv_data: UnsafeMutableRawPointer(mutating: key.baseAddress))
                var value = MDB_val(mv_size: value.count, mv_data: UnsafeMutableRawPointer(mutating: value.baseAddress))
                return mdb_put(handle, database.index, &key, &value, append ? UInt32(MDB_APPEND) : 0)
            }
        }
        try written("mdb_put", result)
    }

    /// Throws what a call that needs new pages failed with.
    private func written(_ what: String, _ result: Int32) throws {
        if result == MDB_MAP_FULL { throw MapFull() }
        try lmdb(what, environment.path, result)
    }

    /// Removes a record. Returns whether there was one.
    func delete(_ database: LMDBDatabase, _ key: [UInt8]) throws -> Bool {
        try key.withUnsafeBytes { bytes in
            var key = MDB_val(mv_size: bytes.count, mv_data: UnsafeMutableRawPointer(mutating: bytes.baseAddress))
            let result = mdb_del(handle, database.index, &key, nil)
            if result == MDB_NOTFOUND { return false }
            try written("mdb_del", result)
            return true
        }
    }

    /// Removes all records of a database.
    func clear(_ database: LMDBDatabase) throws {
        try written("mdb_drop", mdb_drop(handle, database.index, 0))
    }

    /// A cursor before the first record of a database.
    ///
    /// - Precondition: the cursor is gone before the transaction ends.
    func cursor(_ database: LMDBDatabase) throws -> LMDBCursor {
        var cursor: OpaquePointer?
        try lmdb("mdb_cursor_open", environment.path, mdb_cursor_open(handle, database.index, &cursor))
        guard let cursor else { throw CatalogError(.lmdb, "LMDB gave no cursor.", remedy: "Free some memory.") }
        return LMDBCursor(handle: cursor, environment: environment)
    }
}

/// A named database's handle, valid for the life of its environment.
struct LMDBDatabase {
    let index: MDB_dbi
}
