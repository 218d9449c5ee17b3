import Core
import Files
import Foundation
import GRDB
import Glibc
import SQLiteStore
import Synchronization
import TestSupport
import Testing

@testable import IdentifierIndex

@Suite("Compaction of the journal")
struct JournalCompactionTests {
    private typealias Step = JournalCompaction.Step

    /// Compacts after every few chunks.
    private static func often(
        factor: Int = 0, _ reached: @escaping @Sendable (JournalCompaction.Step) throws -> Void = { _ in }
    ) -> JournalCompaction.Settings {
        JournalCompaction.Settings(least: 200, factor: factor, reached: reached)
    }

    private func size(_ folder: TemporaryDirectory) throws -> Int {
        try OpenFile(folder["index.journal"], .read).size()
    }

    /// Rebuilds an index from its journal alone, and gives its tables.
    private func rebuilt(_ folder: TemporaryDirectory, _ harness: IndexHarness) throws -> [[String]] {
        let path = folder["index.sqlite"]
        for suffix in ["", "-wal", "-shm", "-clean"] { try FileSystem.removeTree(path + suffix) }
        let outcome = try IndexRebuild.run(path: path, identity: harness.index.identity)
        #expect(outcome.isComplete && outcome.salvaged == 0)
        let index = try IndexHarness.open(path, harness.levels, harness.codes, harness.policy)
        try index.expectProved("rebuilt")
        let tables = try index.tables()
        try index.close()
        return tables
    }

    /// A copy of what a process leaves that dies now.
    private static func copy(_ folder: TemporaryDirectory) throws -> TemporaryDirectory {
        let copy = TemporaryDirectory()
        for name in ["index.sqlite", "index.sqlite-wal", "index.journal", "index.journal.tmp"]
        where FileSystem.exists(folder[name]) {
            try FileManager.default.copyItem(atPath: folder[name], toPath: copy[name])
        }
        return copy
    }

    @Test func `the journal of items that come and go does not grow without bound`() throws {
        func largest(_ compaction: JournalCompaction.Settings) throws -> (bytes: Int, compactions: Int) {
            let harness = try IndexHarness(levels: 3, codes: 16, compaction: compaction)
            let items = (0..<100).map { ("item \($0)", [Code($0 % 16), Code($0 / 16), 0] as Identifier) }
            var largest = 0
            for _ in 0..<40 {
                try harness.apply(items)
                try harness.apply(deleted: items.map(\.0))
                largest = max(largest, try size(harness.folder))
            }
            try harness.index.expectProved("after 40 rounds")
            return (largest, harness.compactions.done.count)
        }
        let compacted = try largest(.init(least: 5_000, factor: 2))
        #expect(compacted.compactions > 5 && compacted.bytes < 25_000, "\(compacted)")
        // The negative control: it is the compaction that bounds it.
        let never = try largest(.init())
        #expect(never.compactions == 0 && never.bytes > 150_000, "\(never)")
    }

    @Test func `a journal that a new one would not shorten is left alone`() throws {
        let harness = try IndexHarness(levels: 3, codes: 16, compaction: .init(least: 1_000, factor: 2))
        for chunk in 0..<40 {
            try harness.apply((0..<20).map { ("\(chunk)-\($0)", [Code(chunk % 16), Code($0 % 16), Code(chunk / 16)]) })
        }
        #expect(harness.compactions.done.isEmpty && harness.compactions.failures.isEmpty)
        #expect(try size(harness.folder) > 10_000)
    }

    @Test(arguments: [UInt64(1), 2, 3, 4], CollisionPolicy.allCases)
    func `an index rebuilt from a compacted journal is the index rebuilt from the journal of all changes`(
        seed: UInt64, policy: CollisionPolicy
    ) throws {
        let comment: Comment = "seed \(seed), \(policy)"
        let whole = try IndexHarness(policy: policy)
        let often = try IndexHarness(policy: policy, compaction: Self.often())
        for harness in [whole, often] {
            if seed % 2 == 0 { harness.rules.onEdit = .reassign }
            if seed % 3 == 0 { harness.rules.tombstoneReuse = 40 }
            try harness.work(seed: seed, steps: 60)
        }
        #expect(often.compactions.done.count > 3 && often.compactions.failures.isEmpty, comment)
        #expect(whole.compactions.done.isEmpty, comment)
        let tables = try whole.index.tables()
        #expect(try often.index.tables() == tables, comment)
        #expect(policy == .share || tables.allSatisfy { !$0.isEmpty }, "\(comment) proves little")
        try often.index.expectProved(comment)
        try often.reopen()
        #expect(often.index.journalOpening == .found, comment)
        for (name, harness) in [("all changes", whole), ("compacted", often)] {
            try harness.index.close()
            for (found, expected) in zip(try rebuilt(harness.folder, harness), tables) {
                let difference = Set(found).symmetricDifference(expected).sorted().prefix(4)
                #expect(found == expected, "\(comment), \(name): \(difference)")
            }
        }
    }

    @Test(arguments: JournalCompaction.Step.allCases, CollisionPolicy.allCases)
    func `after a death at any step index and journal agree, and nothing is lost`(
        step: JournalCompaction.Step, policy: CollisionPolicy
    ) throws {
        let folder = Mutex<TemporaryDirectory?>(nil)
        let copies = Mutex<[TemporaryDirectory]>([])
        let harness = try IndexHarness(
            policy: policy,
            compaction: Self.often { reached in
                guard reached == step, copies.withLock({ $0.count }) < 5, let folder = folder.withLock({ $0 }) else {
                    return
                }
                let copy = try Self.copy(folder)
                copies.withLock { $0.append(copy) }
            })
        folder.withLock { $0 = harness.folder }
        var expected: [[[String]]] = []
        try harness.work(seed: 7, steps: 40) { _ in
            // A compaction runs inside the chunk that starts it, and changes no table.
            while expected.count < copies.withLock({ $0.count }) { expected.append(try harness.index.tables()) }
        }
        #expect(expected.count > 3 && harness.compactions.failures.isEmpty)
        for (number, (copy, tables)) in zip(copies.withLock({ $0 }), expected).enumerated() {
            let comment: Comment = "\(step), \(policy), death \(number)"
            let hadLeftover = FileSystem.exists(copy["index.journal.tmp"])
            #expect(hadLeftover == (step != .replaced), comment)
            let index = try IndexHarness.open(copy["index.sqlite"], harness.levels, harness.codes, policy)
            #expect(index.journalOpening == .found, comment)
            #expect(!FileSystem.exists(copy["index.journal.tmp"]), comment)
            #expect(try index.tables() == tables, comment)
            try index.expectProved(comment)
            // It goes on: the next frame is appended where it belongs.
            var chunk = Chunk()
            chunk.deleted = [id("n1"), id("n2")]
            _ = try index.apply(chunk, distances: RingDistances(codes: harness.codes), now: 5_000)
            try index.expectProved(comment)
            let after = try index.tables()
            try index.close()
            #expect(try rebuilt(copy, harness) == after, comment)
        }
    }

    @Test func `a journal that was not put in place, and then a chunk that did not commit, lose nothing`() throws {
        struct Stop: Error {}
        let harness = try IndexHarness(compaction: Self.often { if $0 == .recorded { throw Stop() } })
        // Until the index names a place in a journal that never came; the next chunk would correct that.
        var step = 0
        while harness.compactions.failures.isEmpty {
            try harness.apply([("n\(step)", [1, 1, 1])], digest: UInt64(step))
            step += 1
        }
        let (commit, noted) = try harness.index.store.read { (try IndexCommit($0), try IndexCommit.journal($0)) }
        #expect(try noted?.commit == commit && noted?.end != size(harness.folder))
        let tables = try harness.index.tables()
        let copy = try Self.copy(harness.folder)
        let journal = try OpenFile(copy["index.journal"], .update)
        var record = AssignmentRecord()
        record.given([3, 3, 3], to: id("never"), bucket: [3, 3, 3])
        try journal.write(JournalFormat.frame(record.bytes, commit: commit.next, time: 1), at: try journal.size())
        let index = try IndexHarness.open(copy["index.sqlite"], harness.levels, harness.codes, harness.policy)
        #expect(index.journalOpening == .found)
        try index.expectProved("opened")
        #expect(try index.tables() == tables)
        try index.close()
        #expect(try rebuilt(copy, harness) == tables)
    }

    @Test(arguments: JournalCompaction.Step.allCases)
    func `a failure at any step leaves a journal that is whole and in use`(step: JournalCompaction.Step) throws {
        struct Stop: Error {}
        let harness = try IndexHarness(compaction: Self.often { if $0 == step { throw Stop() } })
        try harness.work(seed: 9, steps: 60) { chunk in
            if chunk % 10 == 9 { try harness.index.expectProved("\(step), chunk \(chunk)") }
        }
        #expect(harness.compactions.failures.count > 2 && harness.compactions.failures.allSatisfy { $0 is Stop })
        #expect(!FileSystem.exists(harness.folder["index.journal.tmp"]))
        let tables = try harness.index.tables()
        try harness.reopen()
        #expect(harness.index.journalOpening == .found)
        try harness.index.expectProved("\(step), reopened")
        try harness.index.close()
        #expect(try rebuilt(harness.folder, harness) == tables)
    }

    @Test(arguments: [Step.written, .caughtUp])
    func `chunks that are applied during a compaction are in the new journal`(step: JournalCompaction.Step) throws {
        let apply = Mutex<(@Sendable () throws -> Void)?>(nil)
        let harness = try IndexHarness(
            compaction: Self.often { reached in
                guard reached == step, let apply = apply.withLock({ $0 }) else { return }
                try apply()
            })
        let number = Mutex(0)
        let (index, distances) = (harness.index, harness.distances)
        apply.withLock {
            $0 = {
                // One that gives and takes identifiers, and one that does neither.
                let name = number.withLock {
                    $0 += 1; return "during \($0)"
                }
                for deleted in [[id("n3"), id("n4")], []] {
                    var chunk = Chunk()
                    chunk.deleted = deleted
                    chunk.encoded = [
                        EncodedItem(
                            id: id(name), digest: Digest(high: 1, low: 1), natural: [1, 1, 1], quantisationError: 0,
                            margin: 0)
                    ]
                    _ = try index.apply(chunk, distances: distances, now: 3_000)
                }
            }
        }
        try harness.work(seed: 11, steps: 40)
        #expect(number.withLock { $0 } > 3 && harness.compactions.failures.isEmpty)
        try harness.index.expectProved("\(step)")
        let tables = try harness.index.tables()
        try harness.index.close()
        #expect(try rebuilt(harness.folder, harness) == tables)
    }

    @Test func `a failed fsync of the new journal refuses the next chunk`() throws {
        let harness = try IndexHarness(
            compaction: Self.often { if $0 == .caughtUp { throw FilesError.sync("journal", errno: EIO) } })
        let error = #expect(throws: (any Error).self) { try harness.work(seed: 1, steps: 60) }
        let failure = try #require(error as? any Failure)
        #expect(failure.isFatal, "\(failure)")
        #expect(harness.compactions.failures.count == 1)
        // It stays so.
        #expect(throws: (any Error).self) { try harness.apply([("x", [0, 0, 0])]) }
    }

    @Test func `a journal that contradicts the index is not replaced`() throws {
        let harness = try IndexHarness(compaction: Self.often())
        harness.rules.onEdit = .keep
        try harness.apply([("a", [1, 1, 1]), ("b", [1, 1, 2])])
        // As a defect or damage would leave it: an identifier that the journal does not have.
        try harness.index.store.write { database in
            try database.execute(sql: "UPDATE item SET codes = x'000200020002' WHERE id = CAST('a' AS BLOB)")
        }
        let before = harness.compactions.done.count
        try harness.work(seed: 5, steps: 30)
        #expect(harness.compactions.done.count == before)
        #expect(harness.compactions.failures.allSatisfy { ($0 as? IndexError)?.reason == .inconsistent })
        #expect(!harness.compactions.failures.isEmpty)
    }

    @Test func `an old copy of the index next to a compacted journal is refused`() throws {
        let harness = try IndexHarness(compaction: Self.often())
        try harness.work(seed: 13, steps: 5)
        try harness.index.close()
        let old = try Data(contentsOf: URL(fileURLWithPath: harness.folder["index.sqlite"]))
        try harness.open()
        try harness.work(seed: 14, steps: 30)
        #expect(!harness.compactions.done.isEmpty)
        let tables = try harness.index.tables()
        try harness.index.close()
        try old.write(to: URL(fileURLWithPath: harness.folder["index.sqlite"]))
        #expect { try harness.open() } throws: { ($0 as? IndexError)?.reason == .olderThanJournal }
        #expect(try rebuilt(harness.folder, harness) == tables)
    }

    @Test func `closing the index ends a compaction, and the next start finds the journal`() throws {
        let jobs = Mutex<[@Sendable () -> Void]>([])
        let started = DispatchSemaphore(value: 0)
        let harness = try IndexHarness(
            compaction: Self.often { if $0 == .written { started.signal(); usleep(20_000) } },
            background: { job in jobs.withLock { $0.append(job) } })
        try harness.work(seed: 15, steps: 30)
        let job = try #require(jobs.withLock { $0.first })
        let thread = Thread { job() }
        thread.start()
        started.wait()
        let tables = try harness.index.tables()
        try harness.index.close()
        // One that had not begun does nothing.
        for job in jobs.withLock({ $0.dropFirst() }) { job() }
        #expect(harness.compactions.done.isEmpty && harness.compactions.failures.isEmpty)
        #expect(!FileSystem.exists(harness.folder["index.journal.tmp"]))
        try harness.open()
        #expect(harness.index.journalOpening == .found)
        #expect(try harness.index.tables() == tables)
        try harness.index.close()
    }
}
