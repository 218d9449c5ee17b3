import Foundation
import TestSupport
import Testing
import Core

@testable import IdentifierIndex

/// What the environment asks of the benchmark.
private enum BulkBuild {
    private static let environment = ProcessInfo.processInfo.environment
    static let items = environment["LETTER_INDEX_ITEMS"].flatMap { Int($0) } ?? 0
    static let chunk = environment["LETTER_INDEX_CHUNK"].flatMap { Int($0) } ?? 65_536
    static let policy = environment["LETTER_INDEX_POLICY"].flatMap { CollisionPolicy(rawValue: $0) } ?? .reassign
}

/// How fast an index alone is built, without a catalog and an encoder, and what a compaction of its journal takes:
/// `LETTER_INDEX_ITEMS=1000000 Tools/test --filter BulkBuildBenchmark`. LETTER_INDEX_CHUNK sets the items of a transaction,
/// LETTER_INDEX_POLICY the policy.
@Suite("BulkBuildBenchmark", .enabled(if: BulkBuild.items > 0, "a measurement: set LETTER_INDEX_ITEMS"))
struct BulkBuildBenchmark {
    @Test func `a first build`() throws {
        let harness = try IndexHarness(levels: 4, codes: 256, policy: BulkBuild.policy)
        var random = SeededGenerator(seed: 1)
        var writing = Duration.zero
        for start in stride(from: 0, to: BulkBuild.items, by: BulkBuild.chunk) {
            var chunk = Chunk()
            for number in start..<min(start + BulkBuild.chunk, BulkBuild.items) {
                // Codes of unequal frequency, as real ones are: about one item in twenty collides at a million.
                let natural = (0..<4).map { _ in
                    let uniform = Double.random(in: 0..<1, using: &random)
                    return Code(256 * uniform * uniform)
                }
                chunk.encoded.append(
                    EncodedItem(
                        id: id(String(format: "item-%09d", number)), digest: Digest(high: random.next(), low: 1),
                        natural: Identifier(natural) ?? [], quantisationError: 0.5, margin: 0.25))
            }
            let begin = ContinuousClock.now
            _ = try harness.index.apply(chunk, distances: harness.distances, now: harness.now)
            let took = begin.duration(to: .now)
            writing += took
            print("chunk at \(start): \(took)")
        }
        let tally = try harness.index.tally()
        let seconds = Double(writing.components.seconds) + Double(writing.components.attoseconds) * 1e-18
        print(
            "\(BulkBuild.policy), chunks of \(BulkBuild.chunk): \(Int(Double(BulkBuild.items) / seconds)) items/s, \(tally.collisions) collisions"
        )
        #expect(tally.live == BulkBuild.items)
        try compact(harness)
        try measureLookUps(harness)
    }

    /// Compacts the journal, which needs it not, as one that is twice as long: what is written is the same.
    private func compact(_ harness: IndexHarness) throws {
        try harness.index.close()
        let compactions = Compactions()
        let index = try IndexHarness.open(
            harness.folder["index.sqlite"], 4, 256, BulkBuild.policy, .init(least: 0, factor: 0), compactions)
        for _ in 0..<3 { _ = try index.apply(Chunk(), distances: harness.distances, now: harness.now) }
        for done in compactions.done {
            print(
                "compaction: \(done.before) to \(done.after) bytes in \(done.took), no chunk applied for \(done.blocked)"
            )
        }
        #expect(compactions.done.count == 3 && compactions.failures.isEmpty)
        try index.close()
        try harness.open()
    }

    /// Look-ups of items in batches, as the socket answers them.
    private func measureLookUps(_ harness: IndexHarness) throws {
        var random = SeededGenerator(seed: 2)
        for batch in [1, 1_000] {
            let batches = (0..<(batch == 1 ? 20_000 : 200)).map { _ in
                (0..<batch).map { _ in
                    id(String(format: "item-%09d", Int.random(in: 0..<BulkBuild.items, using: &random)))
                }
            }
            for round in 0..<3 {
                let begin = ContinuousClock.now
                var found = 0
                for ids in batches { found += try harness.index.items(ids).count { $0.row != nil } }
                let took = begin.duration(to: .now)
                #expect(found == batch * batches.count)
                print("look-ups in batches of \(batch), round \(round): \(took / (batch * batches.count)) an item")
            }
        }
    }
}
