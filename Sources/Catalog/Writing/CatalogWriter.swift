import CLMDB
import Glibc
package import Core

/// The write side of a catalog: each call of `write` is one transaction, told in the change log.
///
/// Not Sendable; any other LMDB client may write to the same catalog, LMDB makes them wait for each other.
package final class CatalogWriter {
    /// Folder that holds data.mdb and lock.mdb.
    package let path: String
    /// What the catalog says of itself.
    package let format: CatalogFormat

    private let environment: LMDBEnvironment
    private let limits: ChangeLogLimits

    /// Address space that a catalog starts with; it doubles when it is full. The file is only as large as its pages.
    private static let initialMapSize = 1 << 30

    /// Makes an empty catalog in the folder `path`, which is made if need be.
    ///
    /// - Throws: `already_exists`; `format` for a dimension out of range.
    package static func create(path: String, format: CatalogFormat) throws {
        try create(path: path, format: format, mapSize: initialMapSize)
    }

    static func create(path: String, format: CatalogFormat, mapSize: Int) throws {
        guard (1...CatalogFormat.maximumDimension).contains(format.dimension) else {
            throw CatalogError(
                .wrongDimension, "A catalog cannot have the dimension \(format.dimension).",
                remedy: "Give 1 to \(CatalogFormat.maximumDimension).")
        }
        if mkdir(path, 0o777) != 0, errno != EEXIST { throw lmdbError("mkdir", path, errno) }
        let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: mapSize)
        let transaction = try LMDBTransaction(environment, readOnly: false)
        // An environment without any database is one whose making was cut short.
        guard try transaction.namedDatabases() == 0 else {
            throw CatalogError(
                .alreadyExists, "There is a catalog at \(path) already.",
                remedy: "Choose another folder, or remove data.mdb and lock.mdb first.")
        }
        guard let meta = try transaction.database(DatabaseName.meta, create: true) else { return }
        _ = try transaction.database(DatabaseName.embeddings, create: true)
        let entries = [
            "format": CatalogFormat.name, "dimension": String(format.dimension), "dtype": format.elementType.rawValue,
            "embedding_model": format.embeddingModel,
        ]
        for (key, value) in entries.sorted(by: { $0.key < $1.key }) {
            try transaction.put(meta, key: Array(key.utf8), value: Array(value.utf8))
        }
        var log = PendingLog(limits: ChangeLogLimits())
        log.touch()
        try log.write(into: transaction)
        try transaction.commit()
    }

    /// Opens a catalog for writing.
    ///
    /// - Parameter limits: how much of the change log this writer keeps.
    /// - Throws: what `CatalogReader.init` throws.
    package init(path: String, limits: ChangeLogLimits = ChangeLogLimits()) throws {
        self.limits = limits
        // The reader checks what the catalog is; it is closed before this process opens the file again.
        format = try CatalogReader(path: path).format
        self.path = path
        environment = try LMDBEnvironment(path: path, flags: MDB_NOTLS, mapSize: 0)
    }

    /// Runs `body` in one transaction and commits it; if `body` throws, nothing of it is written.
    ///
    /// When the map is full it is doubled and `body` runs again from the start, so `body` must be repeatable.
    package func write<R>(_ body: (inout CatalogTransaction) throws -> R) throws -> R {
        while true {
            do {
                var transaction = try CatalogTransaction(environment, format: format, limits: limits)
                let result = try body(&transaction)
                try transaction.commit()
                return result
            } catch is MapFull {
                let doubled = environment.mapSize * 2
                try lmdb("mdb_env_set_mapsize", path, mdb_env_set_mapsize(environment.handle, doubled))
            }
        }
    }
}

/// A write transaction on a catalog.
package struct CatalogTransaction: ~Copyable {
    private let transaction: LMDBTransaction
    private let format: CatalogFormat
    private let path: String
    private var databases: [String: LMDBDatabase] = [:]
    private var log: PendingLog

    fileprivate init(_ environment: LMDBEnvironment, format: CatalogFormat, limits: ChangeLogLimits) throws {
        log = PendingLog(limits: limits)
        transaction = try LMDBTransaction(environment, readOnly: false)
        self.format = format
        path = environment.path
    }

    fileprivate consuming func commit() throws {
        try log.write(into: transaction)
        try transaction.commit()
    }

    /// Writes an item's semantic embedding.
    ///
    /// - Throws: `wrong_dimension`, `not_finite`.
    package mutating func put(embedding: some Collection<Float>, of item: ItemID) throws {
        guard embedding.count == format.dimension else {
            throw CatalogError(
                .wrongDimension,
                "The vector of item \(item.text) has \(embedding.count) numbers; the catalog \(path) has \(format.dimension).",
                remedy:
                    "Give vectors of the catalog's dimension, or make a catalog with `--dimension \(embedding.count)`.")
        }
        guard embedding.allSatisfy(\.isFinite) else {
            throw CatalogError(
                .notFinite, "The vector of item \(item.text) holds a NaN or an infinity.",
                remedy: "Mend the vector; nothing of this transaction was written.")
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(format.vectorByteCount)
        for value in embedding {
            switch format.elementType {
            case .f32: withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
            case .f16:
                let half = Float16(value)
                guard half.isFinite else {
                    throw CatalogError(
                        .notFinite, "The vector of item \(item.text) holds \(value), which f16 cannot.",
                        remedy: "Scale the vectors, or make a catalog with `--dtype f32`.")
                }
                withUnsafeBytes(of: half.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
            }
        }
        try put(DatabaseName.embeddings, item.bytes, bytes)
    }

    /// Writes an item's embedding as the bytes that the catalog stores.
    ///
    /// - Throws: `wrong_dimension` if their number is not the catalog's.
    package mutating func put(embeddingBytes bytes: some Collection<UInt8>, of item: ItemID) throws {
        guard bytes.count == format.vectorByteCount else {
            throw CatalogError(
                .wrongDimension,
                "The vector of item \(item.text) has \(bytes.count) bytes; the catalog \(path) has \(format.vectorByteCount).",
                remedy: "Give vectors of the catalog's dimension and dtype.")
        }
        try put(DatabaseName.embeddings, item.bytes, Array(bytes))
    }

    /// Writes an item's JSON object, as UTF-8.
    package mutating func put(json: some Collection<UInt8>, of item: ItemID) throws {
        try put(DatabaseName.items, item.bytes, Array(json))
    }

    /// Writes an item's collaborative embedding, always f32.
    package mutating func put(collaborative vector: some Collection<Float>, of item: ItemID) throws {
        guard vector.allSatisfy(\.isFinite) else {
            throw CatalogError(
                .notFinite, "The CF vector of item \(item.text) holds a NaN or an infinity.",
                remedy: "Mend the vector; nothing of this transaction was written.")
        }
        var bytes: [UInt8] = []
        for value in vector { withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) } }
        try put(DatabaseName.cf, item.bytes, bytes)
    }

    /// Writes an interaction: the key is the user, a zero byte, milliseconds and tie-breaker, both big-endian.
    ///
    /// - Throws: `bad_key` if the user's name is empty, has a zero byte or makes the key longer than 511 bytes.
    package mutating func put(
        interactionOf user: [UInt8], milliseconds: UInt64, tieBreaker: UInt32, item: ItemID
    ) throws {
        guard !user.isEmpty, !user.contains(0), user.count + 13 <= ItemID.maximumLength else {
            throw CatalogError(
                .badKey, "A user's name of \(user.count) bytes cannot be a key.",
                remedy: "Use 1 to \(ItemID.maximumLength - 13) bytes without a zero byte.")
        }
        let key = Self.interactionKey(user, milliseconds: milliseconds, tieBreaker: tieBreaker)
        try put(DatabaseName.interactions, key, item.bytes)
    }

    /// Removes a user's interactions without a time from a tie-breaker on: the rest of a longer history that stood there.
    package mutating func removeInteractions(of user: [UInt8], from tieBreaker: UInt32) throws {
        guard let database = try transaction.database(DatabaseName.interactions) else { return }
        var next = tieBreaker
        while try transaction.delete(database, Self.interactionKey(user, milliseconds: 0, tieBreaker: next)) {
            log.touch()
            next += 1
        }
    }

    private static func interactionKey(_ user: [UInt8], milliseconds: UInt64, tieBreaker: UInt32) -> [UInt8] {
        var key = user
        key.append(0)
        withUnsafeBytes(of: milliseconds.bigEndian) { key.append(contentsOf: $0) }
        withUnsafeBytes(of: tieBreaker.bigEndian) { key.append(contentsOf: $0) }
        return key
    }

    /// Removes an item: its embedding, its JSON object and its CF embedding. Returns whether there was one.
    package mutating func delete(_ item: ItemID) throws -> Bool {
        var found = false
        for name in [DatabaseName.embeddings, DatabaseName.items, DatabaseName.cf] {
            guard let database = try transaction.database(name) else { continue }
            guard try transaction.delete(database, item.bytes) else { continue }
            if name == DatabaseName.embeddings { log.note(.delete, item.bytes) } else { log.touch() }
            if name != DatabaseName.cf { found = true }
        }
        return found
    }

    fileprivate mutating func put(_ name: String, _ key: [UInt8], _ value: [UInt8]) throws {
        let database: LMDBDatabase
        if let known = databases[name] {
            database = known
        } else {
            guard let made = try transaction.database(name, create: true) else { return }
            databases[name] = made
            database = made
        }
        try transaction.put(database, key: key, value: value)
        if name == DatabaseName.embeddings { log.note(.put, key) } else { log.touch() }
    }
}

extension CatalogTransaction {
    /// Writes any bytes as an item's embedding, as a careless writer would; for tests.
    mutating func writeRaw(embedding bytes: [UInt8], of item: ItemID) throws {
        try put(DatabaseName.embeddings, item.bytes, bytes)
    }
}
