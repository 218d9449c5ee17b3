import Glibc
import TestSupport
import Core

@testable import Catalog

/// What an index is to a catalog: digests of the records it has seen, and a cursor.
struct Follower {
    var known: [ItemID: Digest] = [:]
    var cursor: CatalogCursor?

    /// How a catch-up found what changed.
    enum Way: Equatable {
        case log(entries: Int)
        case scan(LogFault)

        var isLog: Bool { if case .log = self { true } else { false } }
    }

    /// Brings it to the catalog's present version, by the log where that can be done.
    @discardableResult
    mutating func catchUp(_ path: String, boot: String = "boot") throws -> Way {
        let reader = try CatalogReader(path: path, boot: boot)
        var fault = LogFault.noPosition
        if let cursor {
            switch try reader.changes(since: cursor) {
            case .changes(let logged):
                apply(ChangeSet(logged, known: logged.items.map { known[$0] }), digests(of: logged))
                return .log(entries: logged.entries)
            case .unusable(let reason): fault = reason
            }
        }
        var page = KnownItems()
        for (id, digest) in known.sorted(by: { $0.key < $1.key }) { page.append(digest: digest) { $0 += id.bytes } }
        var pages = [page, KnownItems()].makeIterator()
        let changes = try reader.changes(holding: true) { pages.next() ?? KnownItems() }
        let batch = try reader.vectors(of: changes.changed)
        apply(changes, Dictionary(uniqueKeysWithValues: zip(batch.items, batch.digests)))
        return .scan(fault)
    }

    private func digests(of logged: LoggedChanges) -> [ItemID: Digest] {
        Dictionary(
            uniqueKeysWithValues: zip(logged.items, logged.digests).compactMap { id, digest in
                digest.map { (id, $0) }
            })
    }

    private mutating func apply(_ changes: ChangeSet, _ digests: [ItemID: Digest]) {
        for id in changes.deleted { known[id] = nil }
        for id in changes.changed { known[id] = digests[id] }
        cursor = changes.cursor
    }

    /// What the entries alone say since its cursor, believed without any check: the negative control.
    mutating func catchUpNaively(_ path: String) throws {
        let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: 0)
        let transaction = try LMDBTransaction(environment, readOnly: true)
        guard let embeddings = try transaction.database("embeddings"), let log = try transaction.database("letter.log")
        else { return }
        var walk = try transaction.cursor(log)
        var record = try walk.seek(ChangeLog.key((cursor?.log?.sequence ?? 0) + 1))
        while let entry = record.flatMap(ChangeLog.read) {
            let id = ItemID(unchecked: Array(entry.id))
            if entry.kind != .gap {
                known[id] = try transaction.value(embeddings, id.bytes) { $0.map { Digest(of: $0) } }
            }
            record = try walk.next()
        }
    }
}

/// What the catalog's `embeddings` hold, read without any of the readers' code but LMDB's.
func contents(_ path: String) throws -> [ItemID: Digest] {
    let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: 0)
    let transaction = try LMDBTransaction(environment, readOnly: true)
    guard let embeddings = try transaction.database("embeddings") else { return [:] }
    var cursor = try transaction.cursor(embeddings)
    var result: [ItemID: Digest] = [:]
    while let record = try cursor.next() { result[ItemID(unchecked: Array(record.key))] = Digest(of: record.value) }
    return result
}

/// Writes as an LMDB client that knows nothing of the log.
func plainWrite(
    _ path: String, _ database: String = "embeddings", _ body: (borrowing LMDBTransaction, LMDBDatabase) throws -> Void
) throws {
    let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: 1 << 30)
    let transaction = try LMDBTransaction(environment, readOnly: false)
    guard let database = try transaction.database(database, create: true) else { return }
    try body(transaction, database)
    try transaction.commit()
}

func plainPut(_ path: String, _ id: ItemID, _ value: UInt8) throws {
    try plainWrite(path) { try $0.put($1, key: id.bytes, value: [value, 0, 0, 0, 0, 0, 0, 0]) }
}

/// Writes in one transaction that keeps the log.
func cooperate(
    _ path: String, limits: ChangeLogLimits = ChangeLogLimits(), _ body: (inout CatalogTransaction) throws -> Void
) throws {
    let writer = try CatalogWriter(path: path, limits: limits)
    try writer.write(body)
}

func id(_ text: String) -> ItemID { ItemID(unchecked: Array(text.utf8)) }

/// Overwrites data.mdb in place with what it held before, as a careless restore does: the same inode, an older commit.
func restore(_ path: String, from copy: [UInt8]) throws {
    let file = fopen(path + "/data.mdb", "r+")
    fwrite(copy, 1, copy.count, file)
    fclose(file)
    truncate(path + "/data.mdb", copy.count)
}

/// The bytes of data.mdb.
func copy(of path: String) throws -> [UInt8] {
    var status = stat()
    guard stat(path + "/data.mdb", &status) == 0, let file = fopen(path + "/data.mdb", "r") else { return [] }
    defer { fclose(file) }
    return [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
        count = fread(buffer.baseAddress, 1, Int(status.st_size), file)
    }
}
