package import Core

/// Which items share an identifier: rows sorted by identifier and split into buckets of equal ones.
///
/// ```swift
/// let buckets = IdentifierBuckets(identifiers)
/// let collisionRate = Double(buckets.collisions) / Double(identifiers.count)
/// ```
package struct IdentifierBuckets: Sendable {
    /// The rows in the order of their identifiers; rows with equal identifiers in ascending order.
    package let rows: [Int]
    /// The range of `rows` that each bucket takes, in the order of the identifiers.
    package let ranges: [Range<Int>]

    /// Sorts all rows. O(n log n); memory: 40 bytes for each row while it sorts, 8 and 16 for each bucket afterwards.
    ///
    /// - Parameter identifiers: the identifier of each row.
    package init(_ identifiers: [Identifier]) {
        self.init(identifiers, of: identifiers.indices)
    }

    /// Sorts some of the rows. O(rows · log rows).
    ///
    /// - Parameters:
    ///   - identifiers: the identifier of each row, also of those that are left out.
    ///   - chosen: the rows to sort, each once.
    package init(_ identifiers: [Identifier], of chosen: some Sequence<Int>) {
        // Sorted together with the identifiers, because following an index in every comparison misses the cache.
        let sorted = chosen.map { (identifier: identifiers[$0], row: $0) }.sorted { $0 < $1 }
        var ranges: [Range<Int>] = []
        var start = 0
        for end in sorted.indices.dropFirst() where sorted[end].identifier != sorted[start].identifier {
            ranges.append(start..<end)
            start = end
        }
        if !sorted.isEmpty { ranges.append(start..<sorted.count) }
        rows = sorted.map(\.row)
        self.ranges = ranges
    }

    /// The number of distinct identifiers.
    package var distinct: Int { ranges.count }

    /// The number of items beyond the first of each identifier: items − distinct identifiers.
    package var collisions: Int { rows.count - ranges.count }

    /// The number of items whose identifier another item has too.
    package var sharedItems: Int { ranges.reduce(0) { $1.count > 1 ? $0 + $1.count : $0 } }

    /// The rows of each identifier that two or more items have, in the order of the identifiers.
    package var shared: [ArraySlice<Int>] { ranges.filter { $0.count > 1 }.map { rows[$0] } }
}
