import Core
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import IdentifierIndex

@Suite("The proof of an index")
struct IndexProofTests {
    @Test func `while chunks are applied and the journal is replaced, every proof is of one commit`() throws {
        let harness = try IndexHarness(levels: 3, codes: 64, compaction: .init(least: 2_000, factor: 0))
        harness.index.loadTrie()
        let index = harness.index
        let stop = Mutex(false)
        let proofs = Mutex<[[IndexFinding]]>([])
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            while !stop.withLock({ $0 }) {
                if let findings = try? index.verify() { proofs.withLock { $0.append(findings) } }
            }
            done.signal()
        }
        thread.start()
        var random = SeededGenerator(seed: 4)
        var chunk = 0
        while chunk < 60 || (chunk < 2_000 && proofs.withLock({ $0.count }) < 20) {
            let items = (0..<30).map { number in
                (
                    "\(chunk % 40)-\(number)",
                    Identifier((0..<3).map { _ in Code.random(in: 0..<64, using: &random) }) ?? []
                )
            }
            try harness.apply(items, deleted: (0..<20).map { "\((chunk + 20) % 40)-\($0)" }, digest: UInt64(chunk))
            chunk += 1
        }
        stop.withLock { $0 = true }
        done.wait()
        let found = proofs.withLock { $0 }
        #expect(found.count >= 20 && harness.compactions.done.count > 5, "too little to prove anything")
        for findings in found {
            // The trie is always compared: it is never that of another commit than the rows.
            #expect(
                findings.map(\.name) == [
                    "owners", "identifiers", "trie", "trie in memory", "counts", "tombstones", "collisions", "journal",
                ])
            for finding in findings { #expect(finding.isGood, "\(finding.name): \(finding.detail)") }
        }
    }

    @Test func `a proof waits for the chunk that is being applied`() throws {
        let harness = try IndexHarness()
        harness.index.loadTrie()
        let index = harness.index
        let begun = DispatchSemaphore(value: 0)
        let ended = Mutex<[String]>([])
        let done = DispatchSemaphore(value: 0)
        /// Asked about the second item of the chunk, in the middle of its transaction.
        struct Slow: ItemDistances {
            let begun: DispatchSemaphore
            let apply: @Sendable () -> Void

            func distances(row: Int, below prefix: Identifier, into result: inout [Float]) {
                begun.signal()
                usleep(50_000)
                apply()
                result = [3, 2, 1, 0]
            }
        }
        let thread = Thread {
            begun.wait()
            let findings = (try? index.verify()) ?? []
            ended.withLock { $0.append(findings.allSatisfy(\.isGood) ? "proof" : "\(findings)") }
            done.signal()
        }
        thread.start()
        var chunk = Chunk()
        chunk.encoded = ["a", "b"].map {
            EncodedItem(
                id: id($0), digest: Digest(high: 1, low: 1), natural: [1, 1, 1], quantisationError: 0, margin: 0)
        }
        _ = try index.apply(
            chunk, distances: Slow(begun: begun, apply: { ended.withLock { $0.append("chunk") } }), now: 1)
        done.wait()
        #expect(ended.withLock { $0 } == ["chunk", "proof"])
    }
}
