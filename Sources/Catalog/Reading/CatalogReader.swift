import CLMDB
import Glibc
package import Core

/// What an index has to do to match a catalog.
package struct ChangeSet: Sendable {
    /// How the changes were found.
    package enum Source: Sendable, Equatable {
        /// The whole catalog was compared with the index.
        case scan
        /// The change log named them in so many entries.
        case log(entries: Int)
    }

    /// The snapshot compared with, or the first of them, and where the change log stood in it.
    package var cursor: CatalogCursor
    package var source = Source.scan
    /// Items that are new or whose record changed, in key order.
    package var changed: [ItemID] = []
    /// Items that are gone, in key order.
    package var deleted: [ItemID] = []
    /// Items that seemed to be gone in a comparison of several snapshots, which cannot prove it.
    package var missed = 0
    /// Items that were compared, and items that the index knew.
    package var scanned = 0
    package var known = 0

    /// The version compared with.
    package var version: CatalogVersion { cursor.version }
}

/// Vectors read from a catalog, checked, one row an item.
package struct VectorBatch: Sendable {
    /// A record that cannot be encoded.
    package struct Rejected: Sendable {
        package var item: ItemID
        package var digest: Digest
        package var fault: RecordFault
        /// Bytes of the record, for the message.
        package var byteCount: Int
    }

    /// Items whose vectors follow, in the order asked for.
    package var items: [ItemID] = []
    /// Their vectors, (items, dimension), row-major.
    package var vectors: [Float] = []
    /// Digests of the records that the vectors were read from.
    package var digests: [Digest] = []
    /// Items that cannot be encoded.
    package var rejected: [Rejected] = []
    /// Items that are no longer there; a later version of the catalog says what became of them.
    package var missing: [ItemID] = []
}

/// The read side of a catalog, opened read-only; never holds a transaction between calls.
///
/// Not Sendable: all calls come from one thread at a time, as LMDB's rules on growing maps demand.
package final class CatalogReader {
    /// Folder that holds data.mdb and lock.mdb.
    package let path: String
    /// What the catalog says of itself.
    package let format: CatalogFormat

    let environment: LMDBEnvironment
    private let dataPath: String
    private let boot: String
    let embeddings: LMDBDatabase
    /// Whether `meta` was rewritten since the catalog was opened.
    private var formatChanged = false
    /// Bytes that the file had when it was last found long enough.
    private var confirmedBytes = 0

    /// Opens the catalog in the folder `path`.
    ///
    /// - Throws: `CatalogError`: `missing`, `foreign` (no Letter catalog), `format`, `permission`, `damaged`,
    ///   `version_mismatch`, `already_open`.
    package convenience init(path: String) throws { try self.init(path: path, boot: Self.bootIdentity()) }

    /// Opens it as on this boot of the machine.
    init(path: String, boot: String) throws {
        self.path = path
        self.boot = boot
        dataPath = path + "/data.mdb"
        guard access(dataPath, F_OK) == 0 else {
            throw lmdbError("opening", path, errno)
        }
        environment = try LMDBEnvironment(path: path, flags: MDB_RDONLY | MDB_NOTLS, mapSize: 0)
        try Self.checkSize(environment)
        let transaction = try LMDBTransaction(environment, readOnly: true)
        let format = try Self.readFormat(transaction, path: path)
        guard let embeddings = try transaction.database(DatabaseName.embeddings) else {
            throw CatalogError(
                .foreign, "The catalog \(path) has no database 'embeddings'.",
                remedy: "Write the vectors into it (Schema/catalog.md), or start with `letter catalog init`.")
        }
        // A handle opened in a read transaction outlives it only if the transaction is committed.
        try transaction.commit()
        self.format = format
        self.embeddings = embeddings
    }

    /// The version that a snapshot taken now has. A few microseconds.
    ///
    /// Not what the file's meta pages say: a commit stands there before snapshots see it, for as long as it is synced,
    /// or until the next commit if its writer dies in between.
    ///
    /// When `data.mdb` has been replaced by another file, the file's new identity is reported with transaction 0 and
    /// this reader, which still sees the old file, must be closed and a new one opened.
    package func version() throws -> CatalogVersion {
        let current = FileIdentity(dataPath)
        guard current == environment.identity else {
            return CatalogVersion(
                device: current?.device ?? 0, inode: current?.inode ?? 0, transaction: 0, boot: boot)
        }
        let transaction = try LMDBTransaction(environment, readOnly: true)
        return version(of: transaction)
    }

    /// The version that a snapshot has.
    func version(of transaction: borrowing LMDBTransaction) -> CatalogVersion {
        CatalogVersion(
            device: environment.identity.device, inode: environment.identity.inode, transaction: transaction.number,
            boot: boot)
    }

    /// Records of any database that were looked at since the catalog was opened.
    package var recordsRead: Int { environment.recordsRead }

    /// Whether the path still names the file that this reader has open, and the file's format is the one it read.
    package var isCurrent: Bool { bytesOfCurrent != nil }

    /// Bytes of the file, if the path still names the one that this reader has open; nil, too, where it has lost its meta
    /// pages, which must not even be asked for the last commit then.
    private var bytesOfCurrent: Int? {
        guard !formatChanged, let (identity, bytes) = FileIdentity.withSize(dataPath), identity == environment.identity,
            bytes >= LMDBEnvironment.metaBytes
        else { return nil }
        return bytes
    }

    /// Whether a snapshot taken now would have this version, and this reader would take it. One system call: this is
    /// what an idle daemon does twenty times a second.
    package func isAt(_ version: CatalogVersion) -> Bool {
        // A file that became shorter may have lost what was committed.
        guard let bytes = bytesOfCurrent, bytes >= confirmedBytes else { return false }
        return version.device == environment.identity.device && version.inode == environment.identity.inode
            && version.transaction == environment.lastTransaction && version.boot == boot
    }

    /// Refuses a snapshot whose `meta` is not what this reader was opened with: its vectors would be misread.
    func confirmFormat(_ transaction: borrowing LMDBTransaction) throws {
        guard try Self.readFormat(transaction, path: path) == format else {
            formatChanged = true
            throw CatalogError(
                .busy, "The format of the catalog \(path) was changed.", remedy: "It is opened anew by itself.")
        }
    }

    /// Number of items (keys of `embeddings`). O(1).
    package func count() throws -> Int {
        let transaction = try LMDBTransaction(environment, readOnly: true)
        return try transaction.count(embeddings)
    }

    /// Reads the vectors of items, each as it is now: a snapshot is given up when a commit comes. O(items · log n +
    /// bytes).
    package func vectors(of items: some Collection<ItemID>) throws -> VectorBatch {
        let transaction = try LMDBTransaction(environment, readOnly: true)
        try confirmFormat(transaction)
        var batch = VectorBatch()
        batch.items.reserveCapacity(items.count)
        batch.digests.reserveCapacity(items.count)
        batch.vectors.reserveCapacity(items.count * format.dimension)
        var newest = NewestSnapshot(transaction)
        for (number, item) in items.enumerated() {
            if number % NewestSnapshot.recordsBetweenLooks == 0, newest.isLeft(by: transaction) {
                transaction.release()
                try transaction.renew()
                if newest.took(transaction) { try confirmFormat(transaction) }
            }
            try transaction.value(embeddings, item.bytes) { bytes in
                guard let bytes else {
                    batch.missing.append(item)
                    return
                }
                let digest = Digest(of: bytes)
                if let fault = VectorDecoder.append(bytes, format: format, to: &batch.vectors) {
                    batch.rejected.append(
                        .init(item: item, digest: digest, fault: fault, byteCount: bytes.count))
                } else {
                    batch.items.append(item)
                    batch.digests.append(digest)
                }
            }
        }
        return batch
    }

    // MARK: - Whole reads, for training and tools

    /// Calls `body` with every item and its stored vector's bytes as Float32, or what is wrong with it; key order.
    package func forEachVector(_ body: (ItemID, [Float], RecordFault?) throws -> Void) throws {
        try Self.checkSize(environment)
        let transaction = try LMDBTransaction(environment, readOnly: true)
        var cursor = try transaction.cursor(embeddings)
        var pages = ScannedPages()
        var vector: [Float] = []
        while let record = try cursor.next() {
            pages.read(record.value)
            vector.removeAll(keepingCapacity: true)
            let fault = VectorDecoder.append(record.value, format: format, to: &vector)
            try body(ItemID(unchecked: Array(record.key)), vector, fault)
        }
    }

    /// Calls `body` with the JSON of every item that has some, in key order; nothing if the catalog has no `items`.
    ///
    /// The JSON is as it was written: bytes of anybody's, not checked.
    package func forEachItem(_ body: (ItemID, [UInt8]) throws -> Void) throws {
        try Self.checkSize(environment)
        let transaction = try LMDBTransaction(environment, readOnly: true)
        guard let database = try transaction.database(DatabaseName.items) else { return }
        var cursor = try transaction.cursor(database)
        while let record = try cursor.next() { try body(ItemID(unchecked: Array(record.key)), Array(record.value)) }
    }

    /// Calls `body` with the collaborative embedding of every item that has one, in key order; nothing if the catalog has
    /// no `cf`.
    ///
    /// - Throws: `bad_record` where a value's length is not a multiple of four or differs from the others'.
    package func forEachCollaborativeEmbedding(_ body: (ItemID, [Float]) throws -> Void) throws {
        let transaction = try LMDBTransaction(environment, readOnly: true)
        guard let database = try transaction.database(DatabaseName.cf) else { return }
        var first: Int?
        var cursor = try transaction.cursor(database)
        var pages = ScannedPages()
        var vector: [Float] = []
        while let record = try cursor.next() {
            pages.read(record.value)
            let item = ItemID(unchecked: Array(record.key))
            let width = first ?? record.value.count / 4
            first = width
            vector.removeAll(keepingCapacity: true)
            let format = CatalogFormat(dimension: width, elementType: .f32)
            if let fault = VectorDecoder.append(record.value, format: format, to: &vector) {
                throw CatalogError(
                    .badRecord, "The CF embedding of item \(item.text) cannot be read (\(fault.rawValue)).",
                    remedy: "Write \(4 * width) bytes of finite little-endian f32 for it, or remove it.")
            }
            try body(item, vector)
        }
    }

    /// Number of entries of each database that the catalog has.
    package func counts() throws -> [(database: String, entries: Int)] {
        let names = [
            DatabaseName.embeddings, DatabaseName.items, DatabaseName.interactions, DatabaseName.cf,
        ]
        var result: [(database: String, entries: Int)] = []
        for name in names {
            let transaction = try LMDBTransaction(environment, readOnly: true)
            if let database = try transaction.database(name) { result.append((name, try transaction.count(database))) }
            try transaction.commit()
        }
        return result
    }

    /// Frees reader slots of processes that died. Returns how many.
    @discardableResult
    package func clearDeadReaders() -> Int { environment.clearDeadReaders() }

    // MARK: - Opening

    private static func readFormat(_ transaction: borrowing LMDBTransaction, path: String) throws -> CatalogFormat {
        func foreign(_ what: String) -> CatalogError {
            CatalogError(
                .foreign, "\(path) is an LMDB environment but \(what).",
                remedy: "Give the path of a catalog made as Schema/catalog.md says, or with `letter catalog init`.")
        }
        guard let meta = try transaction.database(DatabaseName.meta) else { throw foreign("has no database 'meta'") }
        func read(_ key: String) throws -> String? {
            try transaction.value(meta, Array(key.utf8)) { bytes in bytes.map { String(decoding: $0, as: UTF8.self) } }
        }
        guard let name = try read("format") else { throw foreign("its 'meta' names no format") }
        guard name == CatalogFormat.name else {
            throw CatalogError(
                .format, "The catalog \(path) has format '\(name)'; this version reads '\(CatalogFormat.name)'.",
                remedy: "Use the version of Letter that wrote it, or write it anew.")
        }
        let dimension = try read("dimension")
        guard let dimension, let width = Int(dimension), (1...CatalogFormat.maximumDimension).contains(width) else {
            throw CatalogError(
                .format, "The catalog \(path) gives the dimension '\(dimension ?? "")'.",
                remedy: "Write `dimension` into `meta` as decimal digits, 1 to \(CatalogFormat.maximumDimension).")
        }
        let type = try read("dtype") ?? VectorElement.f32.rawValue
        guard let elementType = VectorElement(rawValue: type) else {
            throw CatalogError(
                .format, "The catalog \(path) gives the dtype '\(type)'.", remedy: "Use f32 or f16.")
        }
        return CatalogFormat(
            dimension: width, elementType: elementType, embeddingModel: try read("embedding_model") ?? "")
    }

    /// Refuses a file that lost its end, before anything reads there. A system call.
    package func confirmSize() throws {
        let bytes = environment.fileSize ?? 0
        try Self.checkSize(environment)
        confirmedBytes = bytes
    }

    /// Refuses a file that is shorter than its last commit says, before a read past its end kills the process.
    static func checkSize(_ environment: LMDBEnvironment) throws {
        // In this order: a commit that comes between the two makes the file larger, not what is required of it.
        let required = environment.requiredFileSize
        let size = environment.fileSize ?? 0
        if let required, size >= required { return }
        guard required != nil, try FileTail.isFree(environment, fileSize: size) else {
            throw CatalogError.truncated(environment.path, size: size, required: required)
        }
    }

    private static func bootIdentity() -> String {
        guard let file = fopen("/proc/sys/kernel/random/boot_id", "r") else { return "" }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 64)
        guard fgets(&buffer, Int32(buffer.count), file) != nil else { return "" }
        return String(decoding: buffer.prefix { $0 > 32 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
