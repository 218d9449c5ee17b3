package import Core

/// Builds a base from identifiers in ascending order.
///
/// ```swift
/// var builder = TrieBuilder(levels: 2)
/// try builder.append([3, 1])
/// try builder.append([3, 7])
/// let base = builder.finish()
/// ```
package struct TrieBuilder: ~Copyable {
    private let levels: Int
    private var codes: [[Code]]
    private var first: [[UInt32]]
    private var counts: [UInt32] = []
    private var last: Identifier?
    private var items = 0

    /// - Parameters:
    ///   - levels: the length of the identifiers, 1 to `Identifier.maximumLength`.
    ///   - identifiers: how many to reserve memory for.
    package init(levels: Int, identifiers: Int = 0) {
        precondition((1...Identifier.maximumLength).contains(levels), "no such number of levels")
        self.levels = levels
        codes = Array(repeating: [], count: levels)
        first = Array(repeating: [], count: levels - 1)
        codes[levels - 1].reserveCapacity(identifiers)
    }

    /// Adds an identifier with some items. Amortised O(1).
    ///
    /// - Throws: `trie.wrong_order` unless it has the right length, comes after the one before and has items: otherwise
    ///   its source is damaged; `trie.too_large` past four thousand million nodes or items.
    package mutating func append(_ identifier: Identifier, items count: Int = 1) throws {
        guard identifier.count == levels, count > 0, last.map({ $0 < identifier }) ?? true else {
            throw TrieError(
                .wrongOrder, "The identifier \(identifier) with \(count) items cannot follow \(last ?? []).",
                remedy: "Build the trie again from an intact source.")
        }
        items += count
        guard items < UInt32.max, codes[levels - 1].count < Int(UInt32.max) / levels else {
            throw TrieError(
                .tooLarge, "More than four thousand million nodes do not fit.", remedy: "Split the catalog.")
        }
        let depth = last.map { identifier.sharedPrefix(with: $0) } ?? 0
        for level in depth..<levels {
            if level < levels - 1 { first[level].append(UInt32(truncatingIfNeeded: codes[level + 1].count)) }
            codes[level].append(identifier[level])
        }
        last = identifier
        if count != 1 && counts.isEmpty { counts = Array(repeating: 1, count: codes[levels - 1].count - 1) }
        if count != 1 || !counts.isEmpty { counts.append(UInt32(truncatingIfNeeded: count)) }
    }

    /// The trie of what was added. O(nodes).
    package consuming func finish() -> TrieBase {
        var starts = [0]
        for level in 0..<levels { starts.append(starts[level] + codes[level].count) }
        // Each level is freed once it is copied, so that there are never two whole tries in memory.
        var nodes: [Code] = []
        nodes.reserveCapacity(starts[levels])
        for level in 0..<levels {
            nodes.append(contentsOf: codes[level])
            codes[level] = []
        }
        var children: [UInt32] = []
        children.reserveCapacity(starts[levels - 1] + 1)
        for level in 0..<(levels - 1) {
            let start = UInt32(truncatingIfNeeded: starts[level + 1])
            children.append(contentsOf: first[level].lazy.map { $0 + start })
            first[level] = []
        }
        children.append(UInt32(truncatingIfNeeded: starts[levels]))
        var before: [UInt32] = []
        if !counts.isEmpty {
            before.reserveCapacity(counts.count + 1)
            before.append(0)
            var sum: UInt32 = 0
            for count in counts {
                sum += count
                before.append(sum)
            }
        }
        let base = TrieBase(levels: levels, codes: nodes, first: children, starts: starts, before: before)
        base._checkInvariants()
        return base
    }
}
