import Glibc
import TestSupport
import Testing
import Core

@testable import Catalog

/// Reads everything through a reader that is closed again.
private func changes(_ path: String, known: KnownItems = KnownItems()) throws -> ChangeSet {
    let reader = try CatalogReader(path: path)
    var pages = [known, KnownItems()].makeIterator()
    return try reader.changes(holding: true) { pages.next() ?? KnownItems() }
}

@Suite("Catalog")
struct CatalogTests {
    let folder = TemporaryDirectory()
    var path: String { folder["catalog"] }

    private func make(_ dimension: Int = 4, _ type: VectorElement = .f32) throws -> CatalogWriter {
        try CatalogWriter.create(
            path: path, format: CatalogFormat(dimension: dimension, elementType: type, embeddingModel: "test/1"))
        return try CatalogWriter(path: path)
    }

    @Test func `a catalog says of itself what it was made with`() throws {
        try CatalogWriter.create(
            path: path, format: CatalogFormat(dimension: 7, elementType: .f16, embeddingModel: "m"))
        let format = try CatalogReader(path: path).format
        #expect(format == CatalogFormat(dimension: 7, elementType: .f16, embeddingModel: "m"))
    }

    @Test(arguments: VectorElement.allCases) func `vectors come back as they were written`(type: VectorElement) throws {
        var random = SeededGenerator(seed: 1)
        // Halves of small integers are exact in both element types.
        let vectors = (0..<50).map { _ in (0..<5).map { _ in Float(Int.random(in: -100...100, using: &random)) / 2 } }
        try {
            let writer = try make(5, type)
            try writer.write { transaction in
                for (row, vector) in vectors.enumerated() { try transaction.put(embedding: vector, of: id("i\(row)")) }
            }
        }()
        let reader = try CatalogReader(path: path)
        let batch = try reader.vectors(of: (0..<50).map { id("i\($0)") } + [id("nobody")])
        #expect(batch.items.count == 50)
        #expect(batch.vectors == vectors.flatMap(\.self))
        #expect(batch.missing == [id("nobody")])
    }

    @Test func `ids of any bytes and of every length up to 511 are found again in byte order`() throws {
        let seed: UInt64 = 7
        var random = SeededGenerator(seed: seed)
        var ids: Set<ItemID> = [
            ItemID(unchecked: [0]), ItemID(unchecked: [0, 0]), ItemID(unchecked: [UInt8](repeating: 0xFF, count: 511)),
        ]
        while ids.count < 300 { ids.insert(ItemID(unchecked: random.bytes(1...511))) }
        try {
            let writer = try make()
            try writer.write { transaction in
                for id in ids { try transaction.put(embedding: [1, 2, 3, 4], of: id) }
            }
        }()
        let found = try changes(path)
        #expect(found.changed == ids.sorted(), "seed \(seed)")
        #expect(found.scanned == 300)
    }

    @Test func `a merge-join finds exactly what was added, changed and deleted`() throws {
        for seed in UInt64(1)...20 {
            let folder = TemporaryDirectory()
            var random = SeededGenerator(seed: seed)
            let path = folder["c"]
            var old: [ItemID: Digest] = [:]
            var expectedChanged: Set<ItemID> = []
            var expectedDeleted: Set<ItemID> = []
            try {
                try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
                let writer = try CatalogWriter(path: path)
                try writer.write { transaction in
                    for _ in 0..<200 {
                        let item = ItemID(unchecked: random.bytes(1...3))
                        guard old[item] == nil, !expectedChanged.contains(item) else { continue }
                        let vector = random.vector(2)
                        let digest = vector.withUnsafeBytes { Digest(of: $0) }
                        switch Int.random(in: 0..<4, using: &random) {
                        case 0:
                            expectedChanged.insert(item)  // unknown to the index
                            try transaction.put(embedding: vector, of: item)
                        case 1:
                            expectedChanged.insert(item)  // known with another digest
                            old[item] = Digest(high: digest.high, low: digest.low ^ 1)
                            try transaction.put(embedding: vector, of: item)
                        case 2:
                            old[item] = digest  // known as it is
                            try transaction.put(embedding: vector, of: item)
                        default:
                            old[item] = digest  // gone
                            expectedDeleted.insert(item)
                        }
                    }
                }
            }()
            let known = old.sorted { $0.key < $1.key }
            // Small pages, so that every kind of change also falls on a page's end.
            let pageSize = Int(seed % 5) + 1
            var rest = known[...]
            let found = try CatalogReader(path: path).changes(holding: true) {
                var page = KnownItems()
                for (item, digest) in rest.prefix(pageSize) { page.append(digest: digest) { $0 += item.bytes } }
                rest = rest.dropFirst(pageSize)
                return page
            }
            #expect(found.changed == expectedChanged.sorted(), "seed \(seed)")
            #expect(found.deleted == expectedDeleted.sorted(), "seed \(seed)")
            #expect(found.known == old.count)
        }
    }

    @Test func `bad records are told apart from good ones and keep their digest`() throws {
        try {
            let writer = try make(3)
            try writer.write { transaction in
                try transaction.put(embedding: [1, 2, 3], of: id("good"))
                try transaction.writeRaw(embedding: [0, 0, 0x80, 0x3F], of: id("short"))
                try transaction.writeRaw(embedding: [], of: id("empty"))
                var nan = [Float](repeating: 1, count: 3)
                nan[1] = .nan
                try transaction.writeRaw(embedding: nan.withUnsafeBytes { Array($0) }, of: id("nan"))
                nan[1] = -.infinity
                try transaction.writeRaw(embedding: nan.withUnsafeBytes { Array($0) }, of: id("infinite"))
            }
        }()
        let reader = try CatalogReader(path: path)
        let batch = try reader.vectors(of: ["good", "short", "empty", "nan", "infinite"].map(id))
        #expect(batch.items == [id("good")])
        #expect(batch.vectors == [1, 2, 3])
        #expect(batch.rejected.map(\.fault) == [.wrongSize, .wrongSize, .notFinite, .notFinite])
        #expect(Set(batch.rejected.map(\.digest)).count == 4)
    }

    @Test
    func `the writer refuses wrong dimensions and values that are not finite, and writes nothing of the transaction`()
        throws
    {
        try {
            let writer = try make(3)
            for bad in [[1, 2], [1, 2, 3, 4], [1, .nan, 3], [1, .infinity, 3]] as [[Float]] {
                #expect(throws: CatalogError.self) {
                    try writer.write { transaction in
                        try transaction.put(embedding: [1, 2, 3], of: id("first"))
                        try transaction.put(embedding: bad, of: id("bad"))
                    }
                }
            }
        }()
        #expect(try changes(path).scanned == 0)
    }

    @Test func `a map that is full grows while records are written`() throws {
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 256), mapSize: 1 << 20)
        try {
            let writer = try CatalogWriter(path: path)
            let vector = [Float](repeating: 0.5, count: 256)
            try writer.write { transaction in
                for row in 0..<8_000 { try transaction.put(embedding: vector, of: id("\(row)")) }
            }
        }()
        #expect(try CatalogReader(path: path).count() == 8_000)
    }

    @Test func `missing, foreign and unknown catalogs are refused with their names`() throws {
        #expect(reason { try CatalogReader(path: folder["nothing"]) } == .missing)
        // An environment of somebody else's: no `meta`.
        _ = mkdir(folder["foreign"], 0o755)
        try {
            let environment = try LMDBEnvironment(path: folder["foreign"], flags: 0, mapSize: 1 << 20)
            let transaction = try LMDBTransaction(environment, readOnly: false)
            _ = try transaction.database("theirs", create: true)
            try transaction.commit()
        }()
        #expect(reason { try CatalogReader(path: folder["foreign"]) } == .foreign)
        // Not LMDB at all.
        _ = mkdir(folder["text"], 0o755)
        try write([UInt8](repeating: 65, count: 8_192), to: folder["text"] + "/data.mdb")
        #expect(reason { try CatalogReader(path: folder["text"]) } == .damaged)
        try make().write { _ in }
        #expect(reason { try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 4)) } == .alreadyExists)
    }

    @Test func `a truncated file is refused before it is scanned`() throws {
        try {
            let writer = try make(64)
            try writer.write { transaction in
                for row in 0..<500 {
                    try transaction.put(embedding: [Float](repeating: 1, count: 64), of: id("\(row)"))
                }
            }
        }()
        let file = path + "/data.mdb"
        var status = stat()
        #expect(stat(file, &status) == 0)
        #expect(truncate(file, status.st_size / 2) == 0)
        #expect(reason { try changes(path) } == .damaged)
    }

    @Test func `a catalog is opened once a process`() throws {
        _ = try make()
        let reader = try CatalogReader(path: path)
        #expect(reason { try CatalogReader(path: path) } == .alreadyOpen)
        withExtendedLifetime(reader) {}
    }

    @Test func `versions follow commits, and a file moved into place is noticed`() throws {
        _ = try make()
        try {
            let reader = try CatalogReader(path: path)
            let first = try reader.version()
            #expect(try reader.version() == first)
            #expect(first.covers(first))
            #expect(reader.isCurrent)
            try CatalogWriter.create(path: folder["other"], format: CatalogFormat(dimension: 4))
            #expect(rename(folder["other"] + "/data.mdb", path + "/data.mdb") == 0)
            #expect(!reader.isCurrent)
            #expect(try !first.covers(reader.version()))
        }()
        #expect(try CatalogReader(path: path).isCurrent)
    }

    @Test func `items' JSON comes back in key order as it was written, and a catalog may have none`() throws {
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
        func items() throws -> [String] {
            var found: [String] = []
            try CatalogReader(path: path).forEachItem {
                found.append("\($0.text) \(String(decoding: $1, as: UTF8.self))")
            }
            return found
        }
        #expect(try items().isEmpty)
        try {
            let writer = try CatalogWriter(path: path)
            try writer.write { transaction in
                try transaction.put(json: Array("no JSON".utf8), of: id("b"))
                try transaction.put(json: Array("{}".utf8), of: id("a"))
                try transaction.put(embedding: [1, 2], of: id("c"))
            }
        }()
        #expect(try items() == ["a {}", "b no JSON"])
    }

    @Test func `deleting removes the item from every database`() throws {
        let writer = try make(2)
        try writer.write { transaction in
            try transaction.put(embedding: [1, 2], of: id("a"))
            try transaction.put(json: Array("{}".utf8), of: id("a"))
            try transaction.put(collaborative: [3], of: id("a"))
            try transaction.put(embedding: [1, 2], of: id("b"))
        }
        let found = try writer.write { transaction in
            [try transaction.delete(id("a")), try transaction.delete(id("a")), try transaction.delete(id("c"))]
        }
        #expect(found == [true, false, false])
    }

    private func reason(_ body: () throws -> some Any) -> CatalogReason? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? CatalogError)?.reason
        }
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "w"))
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}
