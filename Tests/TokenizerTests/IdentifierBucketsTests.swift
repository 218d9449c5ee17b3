import Core
import TestSupport
import Testing
import Tokenizer

/// Which items share an identifier.
@Suite struct IdentifierBucketsTests {
    @Test("buckets are in the order of identifiers, and their rows in ascending order") func order() {
        let buckets = IdentifierBuckets([[2, 1], [0, 5], [2, 1], [0, 4], [0, 5], [2, 1]])
        #expect(buckets.rows == [3, 1, 4, 0, 2, 5] && buckets.ranges == [0..<1, 1..<3, 3..<6])
        #expect(buckets.distinct == 3 && buckets.collisions == 3 && buckets.sharedItems == 5)
        #expect(buckets.shared.map(Array.init) == [[1, 4], [0, 2, 5]])
    }

    @Test("no rows make no buckets, and rows that are left out are not counted") func some() {
        let none = IdentifierBuckets([])
        #expect(none.rows.isEmpty && none.ranges.isEmpty && none.collisions == 0 && none.shared.isEmpty)
        let some = IdentifierBuckets([[1], [1], [1], [2]], of: [3, 2, 0])
        #expect(some.rows == [0, 2, 3] && some.distinct == 2 && some.sharedItems == 2 && some.collisions == 1)
    }

    @Test("buckets agree with a dictionary of rows", arguments: [UInt64(1), 2, 3]) func property(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let identifiers = (0..<2_000).map { _ in
            Identifier((0..<Int.random(in: 1...3, using: &random)).map { _ in Code.random(in: 0..<9, using: &random) })
                ?? Identifier()
        }
        let expected = Dictionary(grouping: identifiers.indices) { identifiers[$0] }
        let buckets = IdentifierBuckets(identifiers)
        #expect(buckets.ranges.map { Array(buckets.rows[$0]) } == expected.sorted { $0.key < $1.key }.map(\.value))
        #expect(buckets.sharedItems == expected.values.reduce(0) { $1.count > 1 ? $0 + $1.count : $0 }, "seed \(seed)")
        #expect(buckets.collisions == identifiers.count - expected.count)
    }
}
