import Foundation
import TestSupport
import Testing
import Core

@testable import Catalog

/// Another process that commits when it is told to, as any program with an LMDB library does.
private final class Neighbour {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()

    private static let script = """
        import json, lmdb, sys
        environment = lmdb.open(sys.argv[1], max_dbs=16, map_size=1 << 30, sync=False)
        embeddings = environment.open_db(b"embeddings")
        for line in sys.stdin:
            with environment.begin(write=True) as transaction:
                for key, value in json.loads(line).items():
                    if value is None:
                        transaction.delete(bytes.fromhex(key), db=embeddings)
                    else:
                        transaction.put(bytes.fromhex(key), bytes.fromhex(value), db=embeddings)
            snapshots = [row.split() for row in environment.readers().splitlines()[1:]]
            print(sum(row[2] != "-" for row in snapshots), flush=True)
        """

    init(_ path: String) throws {
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-c", Self.script, path]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    /// Commits records; nil deletes. Returns how many snapshots all readers hold.
    func commit(_ records: [ItemID: [UInt8]?]) throws -> Int {
        func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }
        var object: [String: Any] = [:]
        for (id, value) in records { object[hex(id.bytes)] = value.map(hex) ?? NSNull() }
        var line = try JSONSerialization.data(withJSONObject: object)
        line.append(10)
        try input.fileHandleForWriting.write(contentsOf: line)
        var answer = Data()
        while answer.last != 10 {
            let bytes = try #require(try output.fileHandleForReading.read(upToCount: 1))
            answer += try #require(bytes.isEmpty ? nil : bytes)
        }
        return try #require(Int(String(decoding: answer.dropLast(), as: UTF8.self)))
    }
}

private func digest(of bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { Digest(of: $0) } }

/// Comparisons of a catalog that changes meanwhile.
@Suite("A catalog that moves", .timeLimit(.minutes(5)))
struct MovingCatalogTests {
    /// A catalog, what it holds, and an index that knows another state of it.
    private struct Scene {
        let folder = TemporaryDirectory()
        var path: String { folder["c"] }
        var random: SeededGenerator
        var contents: [ItemID: [UInt8]] = [:]
        var known: [ItemID: Digest] = [:]

        init(seed: UInt64, deletions: Bool) throws {
            random = SeededGenerator(seed: seed)
            try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
            for _ in 0..<300 {
                let id = newID()
                let value = record()
                let written = digest(of: value)
                switch Int.random(in: 0..<8, using: &random) {
                case 0: contents[id] = value
                case 1:
                    contents[id] = value
                    known[id] = Digest(high: written.high, low: written.low ^ 1)
                case 2 where deletions: known[id] = written
                default:
                    contents[id] = value
                    known[id] = written
                }
            }
            let records = contents
            try plainWrite(path) { transaction, embeddings in
                for (id, value) in records { try transaction.put(embeddings, key: id.bytes, value: value) }
            }
        }

        mutating func newID() -> ItemID { ItemID(unchecked: random.bytes(1...3)) }
        mutating func record() -> [UInt8] { random.vector(2).withUnsafeBytes { Array($0) } }

        /// Records for a commit: some new, some rewritten, some deleted.
        mutating func records(deletions: Bool) -> [ItemID: [UInt8]?] {
            var records: [ItemID: [UInt8]?] = [:]
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let id = Bool.random(using: &random) ? newID() : contents.keys.sorted().randomElement(using: &random)
                let isDeletion = deletions && Int.random(in: 0..<3, using: &random) == 0
                records[id ?? newID()] = .some(isDeletion ? nil : record())
            }
            for (id, value) in records { contents[id] = value }
            return records
        }
    }

    @Test(arguments: [false, true])
    func `what was committed up to the first snapshot is found whatever is committed meanwhile`(deletions: Bool) throws
    {
        var lost = 0
        for seed in UInt64(1)...8 {
            var scene = try Scene(seed: seed, deletions: deletions)
            let neighbour = try Neighbour(scene.path)
            let reader = try CatalogReader(path: scene.path)
            let (first, version) = (scene.contents, try reader.version())
            var rest = scene.known.sorted { $0.key < $1.key }[...]
            let found = try reader.changes(holding: false) {
                // No snapshot is held while the index is read.
                if Bool.random(using: &scene.random) {
                    let snapshots = try neighbour.commit(scene.records(deletions: deletions))
                    #expect(snapshots == 0)
                }
                var page = KnownItems()
                for (item, digest) in rest.prefix(9) { page.append(digest: digest) { $0 += item.bytes } }
                rest = rest.dropFirst(9)
                return page
            }
            #expect(found.version == version, "seed \(seed)")
            #expect(found.deleted.isEmpty, "seed \(seed)")
            let changed = Set(found.changed)
            #expect(found.changed == changed.sorted(), "seed \(seed)")
            for (id, value) in first where scene.known[id] != digest(of: value) {
                // Unless it was deleted since.
                #expect(changed.contains(id) || scene.contents[id] == nil, "seed \(seed), \(id)")
            }
            for id in scene.known.keys where first[id] == nil {
                #expect(changed.contains(id) || found.missed > 0, "seed \(seed), \(id)")
            }
            if !deletions { #expect(found.missed == 0) }
            // Negative control: it does not find all that was committed up to the last snapshot.
            lost += scene.contents.count { scene.known[$0.key] != digest(of: $0.value) && !changed.contains($0.key) }
            // In one snapshot everything is found, and what is gone is told.
            var pages = [scene.known.sorted { $0.key < $1.key }, []].makeIterator()
            let all = try reader.changes(holding: true) {
                var page = KnownItems()
                for (item, digest) in pages.next() ?? [] { page.append(digest: digest) { $0 += item.bytes } }
                return page
            }
            let expected = scene.contents.filter { scene.known[$0.key] != digest(of: $0.value) }.keys.sorted()
            #expect(all.changed == expected, "seed \(seed)")
            #expect(all.deleted == scene.known.keys.filter { scene.contents[$0] == nil }.sorted(), "seed \(seed)")
            #expect(all.missed == 0)
        }
        #expect(lost > 0)
    }

    @Test func `a catalog that nobody changes is compared in one snapshot, and what is gone is told`() throws {
        let scene = try Scene(seed: 9, deletions: true)
        let reader = try CatalogReader(path: scene.path)
        var rest = scene.known.sorted { $0.key < $1.key }[...]
        let found = try reader.changes(holding: false) {
            var page = KnownItems()
            for (item, digest) in rest.prefix(9) { page.append(digest: digest) { $0 += item.bytes } }
            rest = rest.dropFirst(9)
            return page
        }
        #expect(found.deleted == scene.known.keys.filter { scene.contents[$0] == nil }.sorted())
        #expect(!found.deleted.isEmpty)
        #expect(found.missed == 0)
    }

    @Test func `a snapshot is given up in the middle of a page of the index, once there is a commit`() throws {
        var scene = try Scene(seed: 10, deletions: false)
        let neighbour = try Neighbour(scene.path)
        let reader = try CatalogReader(path: scene.path)
        var walk = try RecordWalk(reader, holding: false)
        for _ in 0..<NewestSnapshot.recordsBetweenLooks / 2 { try walk.advance() }
        let snapshots = try neighbour.commit(scene.records(deletions: false))
        #expect(snapshots == 1)
        var isMixed = walk.isMixed
        #expect(!isMixed)
        var keys: [[UInt8]] = []
        while let record = walk.record {
            keys.append(Array(record.key))
            try walk.advance()
        }
        isMixed = walk.isMixed
        #expect(isMixed)
        #expect(zip(keys, keys.dropFirst()).allSatisfy { ItemID(unchecked: $0) < ItemID(unchecked: $1) })
    }
}
