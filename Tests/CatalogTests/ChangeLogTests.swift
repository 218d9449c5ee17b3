import Glibc
import TestSupport
import Testing
import Core

@testable import Catalog

@Suite("The change log")
struct ChangeLogTests {
    let folder = TemporaryDirectory()
    var path: String { folder["c"] }

    /// A catalog of `count` items, and a follower that has caught up with it.
    private func site(_ count: Int = 20, limits: ChangeLogLimits = ChangeLogLimits()) throws -> Follower {
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
        try cooperate(path, limits: limits) { transaction in
            for row in 0..<count { try transaction.put(embedding: [Float(row), 1], of: id("i\(row)")) }
        }
        var follower = Follower()
        #expect(try follower.catchUp(path) == .scan(.noPosition))
        return follower
    }

    private func expectCaughtUp(_ follower: Follower, at location: SourceLocation = #_sourceLocation) throws {
        #expect(follower.known == (try contents(path)), sourceLocation: location)
    }

    @Test func `a cooperating change is told by the log: each item once, as it is now`() throws {
        var follower = try site()
        try cooperate(path) { transaction in
            try transaction.put(embedding: [9, 9], of: id("new"))
            try transaction.put(embedding: [9, 9], of: id("i1"))
            try transaction.put(embedding: [9, 8], of: id("i1"))
            _ = try transaction.delete(id("i2"))
            try transaction.put(embedding: [9, 9], of: id("brief"))
            _ = try transaction.delete(id("brief"))
            _ = try transaction.delete(id("nobody"))
        }
        #expect(try follower.catchUp(path) == .log(entries: 6))
        try expectCaughtUp(follower)
        #expect(follower.known[id("i2")] == nil)
        #expect(follower.known[id("new")] != nil)
        // And again from where it is, with nothing to read.
        #expect(try follower.catchUp(path) == .log(entries: 0))
    }

    @Test func `the log stays current through commits that write no embedding, and an empty one leaves no trace`()
        throws
    {
        var follower = try site()
        try cooperate(path) { try $0.put(json: Array("{}".utf8), of: id("i1")) }
        try cooperate(path) { try $0.put(collaborative: [1], of: id("i1")) }
        try cooperate(path) {
            try $0.put(interactionOf: Array("u".utf8), milliseconds: 0, tieBreaker: 0, item: id("i1"))
        }
        try cooperate(path) { try $0.removeInteractions(of: Array("u".utf8), from: 0) }
        #expect(try follower.catchUp(path) == .log(entries: 0))
        let before = follower.cursor
        try cooperate(path) { _ in }
        try cooperate(path) { _ = try $0.delete(id("nobody")) }
        try follower.catchUp(path)
        #expect(follower.cursor == before)
    }

    @Test func `after a plain writer's commit everything is compared, and again once a cooperating one has followed`()
        throws
    {
        var follower = try site()
        var late = follower
        var naive = follower
        try plainPut(path, id("plain"), 1)
        #expect(try follower.catchUp(path) == .scan(.plainWriter))
        try expectCaughtUp(follower)
        // Its snapshot ended with a commit that the log does not tell of, so it has no position.
        #expect(follower.cursor?.log == nil)
        try cooperate(path) { try $0.put(embedding: [5, 5], of: id("i3")) }
        #expect(try late.catchUp(path) == .scan(.gap))
        try expectCaughtUp(late)
        #expect(try follower.catchUp(path) == .scan(.noPosition))
        try expectCaughtUp(follower)
        // The control: whoever believed the entries would never learn of the plain writer's item.
        try naive.catchUpNaively(path)
        #expect(naive.known[id("plain")] == nil)
        #expect(naive.known != late.known)
        // From then on the log tells.
        try cooperate(path) { try $0.put(embedding: [6, 6], of: id("i4")) }
        #expect(try late.catchUp(path) == .log(entries: 1))
        try expectCaughtUp(late)
    }

    @Test func `a log that was trimmed beyond a reader's position sends it to compare everything`() throws {
        let limits = ChangeLogLimits(entries: 8)
        var follower = try site(5, limits: limits)
        var late = follower
        var naive = follower
        for row in 0..<30 {
            try cooperate(path, limits: limits) { try $0.put(embedding: [7, Float(row)], of: id("t\(row)")) }
            if row % 6 == 0 { #expect(try follower.catchUp(path).isLog) }
        }
        #expect(try follower.catchUp(path) == .log(entries: 5))
        #expect(try late.catchUp(path) == .scan(.trimmed))
        try expectCaughtUp(follower)
        try expectCaughtUp(late)
        try naive.catchUpNaively(path)
        #expect(naive.known != late.known)
        let log = try #require(try CatalogReader(path: path).changeLog())
        #expect(log.next - log.first == 8)
    }

    @Test func `the log is bounded by bytes too, and counts them truly`() throws {
        let limits = ChangeLogLimits(entries: 1_000, bytes: 4_000)
        _ = try site(5, limits: limits)
        var random = SeededGenerator(seed: 3)
        for _ in 0..<60 {
            let ids = (0..<5).map { _ in ItemID(unchecked: random.bytes(1...200)) }
            try cooperate(path, limits: limits) { for id in ids { try $0.put(embedding: [1, 2], of: id) } }
            let log = try #require(try CatalogReader(path: path).changeLog())
            #expect(log.bytes <= 4_000)
            let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: 0)
            let transaction = try LMDBTransaction(environment, readOnly: true)
            let database = try #require(try transaction.database("letter.log"))
            var walk = try transaction.cursor(database)
            var (bytes, entries) = (0, 0)
            while let record = try walk.next() {
                bytes += record.key.count + record.value.count
                entries += 1
            }
            #expect(bytes == Int(log.bytes))
            #expect(entries == Int(log.next - log.first))
        }
    }

    @Test func `a transaction larger than the log leaves a gap and no entries of its own`() throws {
        for limits in [ChangeLogLimits(entries: 10), ChangeLogLimits(bytes: 300)] {
            let folder = TemporaryDirectory()
            let path = folder["c"]
            try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
            try cooperate(path, limits: limits) { try $0.put(embedding: [1, 1], of: id("a")) }
            var follower = Follower()
            try follower.catchUp(path)
            try cooperate(path, limits: limits) { transaction in
                for row in 0..<40 { try transaction.put(embedding: [Float(row), 1], of: id("i\(row)")) }
            }
            #expect(try follower.catchUp(path) == .scan(.gap))
            #expect(follower.known == (try contents(path)))
            try cooperate(path, limits: limits) { try $0.put(embedding: [3, 1], of: id("a")) }
            #expect(try follower.catchUp(path) == .log(entries: 1))
        }
    }

    @Test(arguments: [1, 10, 100]) func `work is in proportion to the change, whatever the size of the catalog`(k: Int)
        throws
    {
        // Records of any database that were looked at, as LMDB's layer counts them.
        func read(items: Int, byLog: Bool) throws -> Int {
            let folder = TemporaryDirectory()
            let path = folder["c"]
            try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
            try cooperate(path) { transaction in
                for row in 0..<items { try transaction.put(embedding: [Float(row), 1], of: id("i\(row)")) }
            }
            var follower = Follower()
            try follower.catchUp(path)
            try cooperate(path) { transaction in
                for row in 0..<k { try transaction.put(embedding: [Float(row), 2], of: id("i\(row * 7)")) }
            }
            let reader = try CatalogReader(path: path, boot: "boot")
            let before = reader.recordsRead
            if byLog {
                guard case .changes(let logged) = try reader.changes(since: try #require(follower.cursor)) else {
                    Issue.record("the log does not tell")
                    return 0
                }
                #expect(logged.items.count == k)
                #expect(ChangeSet(logged, known: logged.items.map { follower.known[$0] }).changed.count == k)
            } else {
                _ = try reader.changes(holding: true) { KnownItems() }
            }
            return reader.recordsRead - before
        }
        let (small, large) = (try read(items: 1_000, byLog: true), try read(items: 20_000, byLog: true))
        #expect(small == large)
        // An entry and a record for each change, and a few of `meta` and `letter.meta`.
        #expect(large <= 2 * k + 20)
        #expect(try read(items: 20_000, byLog: false) >= 20_000)
    }

    @Test func `an older commit, another history, another boot, another file and a new log are each noticed`() throws {
        var follower = try site()
        let old = try copy(of: path)
        try cooperate(path) { try $0.put(embedding: [4, 4], of: id("lost")) }
        #expect(try follower.catchUp(path) == .log(entries: 1))
        let atLost = follower
        // The file is overwritten with an older state of itself.
        try restore(path, from: old)
        #expect(try follower.catchUp(path) == .scan(.regressed))
        try expectCaughtUp(follower)
        // Other changes bring it to the same transaction, and beyond.
        var naive = atLost
        try cooperate(path) { try $0.put(embedding: [4, 4], of: id("other")) }
        var same = atLost
        #expect(try same.catchUp(path) == .scan(.otherHistory))
        try cooperate(path) { try $0.put(embedding: [4, 4], of: id("further")) }
        var beyond = atLost
        #expect(try beyond.catchUp(path) == .scan(.otherHistory))
        try expectCaughtUp(beyond)
        try naive.catchUpNaively(path)
        #expect(naive.known != beyond.known)
        // Another boot.
        try cooperate(path) { try $0.put(embedding: [4, 5], of: id("i1")) }
        #expect(try beyond.catchUp(path, boot: "later") == .scan(.otherFile))
        #expect(try beyond.catchUp(path, boot: "later").isLog)
        // A copy moved into its place: the same log, another file.
        let copied = try copy(of: path)
        #expect(mkdir(folder["d"], 0o755) == 0)
        try Self.write(copied, to: folder["d"] + "/data.mdb")
        #expect(rename(folder["d"] + "/data.mdb", path + "/data.mdb") == 0)
        #expect(try beyond.catchUp(path, boot: "later") == .scan(.otherFile))
        // A log begun anew.
        try plainWrite(path, "letter.meta") { try $0.clear($1) }
        #expect(try beyond.catchUp(path, boot: "later") == .scan(.unreadable))
        var epoch = beyond
        epoch.cursor = CatalogCursor(
            version: beyond.cursor!.version, log: LogPosition(epoch: 1, sequence: 1, nonce: 1))
        try cooperate(path) { try $0.put(embedding: [4, 6], of: id("i1")) }
        #expect(try epoch.catchUp(path, boot: "later") == .scan(.otherEpoch))
        try expectCaughtUp(epoch)
        try cooperate(path) { try $0.put(embedding: [4, 7], of: id("i1")) }
        #expect(try epoch.catchUp(path, boot: "later") == .log(entries: 1))
    }

    @Test func `a commit that stands in the file before snapshots see it is not answered for yet`() throws {
        _ = try site()
        let before = try copy(of: path)
        try cooperate(path) { try $0.put(embedding: [1, 9], of: id("x")) }
        let after = try copy(of: path)
        try restore(path, from: before)
        let reader = try CatalogReader(path: path)
        let version = try reader.version()
        let glance = try #require(CatalogQuickCheck(reader, at: version))
        #expect(glance.isUnchanged)
        // As when its writer syncs it, or has died before it told the others.
        try restore(path, from: after)
        #expect(reader.environment.lastTransaction == version.transaction + 1)
        #expect(try reader.version() == version)
        #expect(try reader.changes(holding: true) { KnownItems() }.version == version)
        // It is looked at again and again until it is seen.
        #expect(!glance.isUnchanged)
        #expect(CatalogQuickCheck(reader, at: version) == nil)
    }

    /// Ways in which somebody may have written into the log's databases.
    enum Damage: CaseIterable {
        case hole, noEnd, noBegin, foreignEntry, unknownKind, shortState, otherNonce, noEntries
    }

    @Test(arguments: Damage.allCases) func `a damaged log is not believed, and the next writer begins a new one`(
        damage: Damage
    ) throws {
        var follower = try site()
        for row in 0..<6 { try cooperate(path) { try $0.put(embedding: [8, Float(row)], of: id("d\(row)")) } }
        let log = try #require(try CatalogReader(path: path).changeLog())
        try Self.damage(path, damage, log)
        // The damage itself is a plain commit; as if it were none:
        try Self.adopt(path)
        guard case .scan(let fault) = try follower.catchUp(path) else {
            Issue.record("a damaged log was believed: \(damage)")
            return
        }
        #expect(fault == .unreadable)
        try expectCaughtUp(follower)
        try cooperate(path) { try $0.put(embedding: [8, 8], of: id("after")) }
        // Behind the reader's new position a hole does no harm.
        #expect(try follower.catchUp(path).isLog == (damage == .hole))
        try expectCaughtUp(follower)
        let epoch = try CatalogReader(path: path).changeLog()?.epoch
        // A hole between its ends is found by readers only; every other damage also by the writer.
        #expect((epoch == log.epoch) == (damage == .hole))
        try cooperate(path) { try $0.put(embedding: [8, 9], of: id("after")) }
        #expect(try follower.catchUp(path) == .log(entries: 1))
        try expectCaughtUp(follower)
    }

    private static func damage(_ path: String, _ damage: Damage, _ log: ChangeLogSummary) throws {
        try plainWrite(path, "letter.log") { transaction, entries in
            switch damage {
            case .hole: _ = try transaction.delete(entries, ChangeLog.key(log.next - 3))
            case .noEnd: _ = try transaction.delete(entries, ChangeLog.key(log.next - 1))
            case .noBegin:
                for sequence in log.first..<(log.next - 3) {
                    _ = try transaction.delete(entries, ChangeLog.key(sequence))
                }
            case .foreignEntry: try transaction.put(entries, key: Array("z".utf8), value: [1, 2, 3])
            case .unknownKind:
                try transaction.put(
                    entries, key: ChangeLog.key(log.next - 1), value: [0x51, 0, 0, 0, 0, 0, 0, 0, 0, 65])
            case .noEntries: try transaction.clear(entries)
            case .shortState, .otherNonce: break
            }
        }
        try plainWrite(path, "letter.meta") { transaction, meta in
            var state = try transaction.value(meta, ChangeLog.stateKey) {
                Array($0 ?? UnsafeRawBufferPointer(start: nil, count: 0))
            }
            if damage == .shortState { state.removeLast() }
            if damage == .otherNonce { state[40] ^= 1 }
            try transaction.put(meta, key: ChangeLog.stateKey, value: state)
        }
    }

    /// Makes the log claim that the last commit is its own.
    private static func adopt(_ path: String) throws {
        try plainWrite(path, "letter.meta") { transaction, meta in
            var state = try transaction.value(meta, ChangeLog.stateKey) {
                Array($0 ?? UnsafeRawBufferPointer(start: nil, count: 0))
            }
            guard state.count == ChangeLogState.byteCount else { return }
            withUnsafeBytes(of: transaction.number.bigEndian) { state.replaceSubrange(32..<40, with: $0) }
            try transaction.put(meta, key: ChangeLog.stateKey, value: state)
        }
    }

    @Test func `a log of a later format is left alone, and not believed`() throws {
        var follower = try site()
        try plainWrite(path, "letter.meta") {
            try $0.put($1, key: ChangeLog.formatKey, value: Array("letter-log/2".utf8))
        }
        try Self.adopt(path)
        let before = try Self.entries(path)
        try cooperate(path) { try $0.put(embedding: [1, 9], of: id("x")) }
        #expect(try follower.catchUp(path) == .scan(.unreadable))
        try expectCaughtUp(follower)
        #expect(try Self.entries(path) == before)
    }

    private static func entries(_ path: String) throws -> [[UInt8]] {
        let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: 0)
        let transaction = try LMDBTransaction(environment, readOnly: true)
        var result: [[UInt8]] = []
        for name in ["letter.log", "letter.meta"] {
            let database = try #require(try transaction.database(name))
            var walk = try transaction.cursor(database)
            while let record = try walk.next() { result += [Array(record.key), Array(record.value)] }
        }
        return result
    }

    @Test func `a map that fills up while the log is written grows, and the log stays whole`() throws {
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2), mapSize: 1 << 17)
        var follower = Follower()
        try follower.catchUp(path)
        for round in 0..<12 {
            try cooperate(path) { transaction in
                for row in 0..<300 {
                    // Most of the bytes are the log's: long ids, and records that are soon deleted.
                    let id = ItemID(unchecked: [UInt8](repeating: UInt8(row % 7), count: 400) + Array("\(row)".utf8))
                    try transaction.put(embedding: [Float(round), 1], of: id)
                    _ = try transaction.delete(id)
                }
            }
            #expect(try follower.catchUp(path) == .log(entries: 600))
        }
        #expect(try contents(path).isEmpty)
        #expect(follower.known.isEmpty)
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "w"))
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}
