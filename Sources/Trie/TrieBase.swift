package import Core

/// A set of identifiers of one length, each with a number of items, as an immutable trie.
///
/// Nodes are numbered level by level, each level in the trie's order, so the children of a node are a run of the next
/// level, and the leaves below it are a run too. A node takes two bytes, for its code, and four more if it has children,
/// for the number of its first child; the first child of the next node ends the run. 10 million items in four levels of
/// 256 codes take 6.5 bytes each. Counts are stored only if an identifier has more than one item (policy `share`).
package final class TrieBase: Sendable {
    /// Length of the identifiers.
    package let levels: Int
    /// How many items there are.
    package let items: Int

    /// Code of each node.
    let codes: [Code]
    /// First child of each node that has children, then the number of nodes.
    let first: [UInt32]
    /// Where each level begins, then the number of nodes.
    let starts: [Int]
    /// Items of the leaves before each one, then of all; empty where every leaf has one item.
    let before: [UInt32]

    /// - Precondition: the arrays form a trie; `fault` returns nil for them.
    init(levels: Int, codes: [Code], first: [UInt32], starts: [Int], before: [UInt32]) {
        self.levels = levels
        self.codes = codes
        self.first = first
        self.starts = starts
        self.before = before
        items = before.last.map(Int.init) ?? (codes.count - starts[levels - 1])
    }

    /// A trie of identifiers of `levels` codes, without items.
    package convenience init(levels: Int) {
        self.init(
            levels: levels, codes: [], first: [0], starts: Array(repeating: 0, count: levels + 1), before: [])
    }

    /// Bytes of its arrays.
    package var byteCount: Int { codes.count * 2 + (first.count + before.count) * 4 + starts.count * 8 }

    /// How many nodes have paths of at most `length` codes. O(1).
    package func nodes(ofLength length: Int) -> Int { starts[length] }

    /// How many identifiers there are.
    package var identifiers: Int { codes.count - starts[levels - 1] }

    /// Calls `body` with every identifier and its number of items, in order. O(nodes).
    package func forEach(_ body: (Identifier, Int) throws -> Void) rethrows {
        let view = TrieView(self)
        try view.walk(from: 0, to: view.rootEnd, depth: 0, path: Identifier(), body)
    }
}

/// The arrays of a base, taken once for a batch, so that no reference is counted inside its loops.
struct TrieView {
    let levels: Int
    let codes: [Code]
    let first: [UInt32]
    let before: [UInt32]
    /// The first leaf.
    let leaves: Int
    /// Where the first level ends.
    let rootEnd: Int

    init(_ base: TrieBase) {
        levels = base.levels
        codes = base.codes
        first = base.first
        before = base.before
        leaves = base.starts[base.levels - 1]
        rootEnd = base.starts[1]
    }

    /// The node with a code in a run of siblings; nil if there is none. O(1) where the codes have few gaps, else
    /// O(log siblings).
    @inline(__always)
    func find(_ code: Code, from start: Int, to end: Int) -> Int? {
        guard start < end else { return nil }
        // Codes ascend, so the n-th after the first is greater by at least n: the one sought is not after this position.
        let distance = Int(code) - Int(codes[start])
        guard distance >= 0 else { return nil }
        var high = min(start + distance, end - 1)
        if codes[high] == code { return high }
        var low = start
        while low < high {
            let middle = (low + high) / 2
            if codes[middle] < code { low = middle + 1 } else { high = middle }
        }
        return codes[low] == code ? low : nil
    }

    /// The children of a prefix as a run of nodes, empty if there are none or the prefix is a whole identifier; and the
    /// node of the prefix itself, nil for the empty prefix and for one that does not occur. O(levels · log siblings).
    @inline(__always)
    func children(of prefix: Identifier) -> (start: Int, end: Int, node: Int?, exists: Bool) {
        guard prefix.count <= levels else { return (0, 0, nil, false) }
        var (start, end) = (0, rootEnd)
        var node: Int?
        for depth in 0..<prefix.count {
            guard let found = find(prefix[depth], from: start, to: end) else {
                return (0, 0, nil, false)
            }
            node = found
            if depth == levels - 1 { return (0, 0, found, true) }
            (start, end) = (Int(first[found]), Int(first[found + 1]))
        }
        return (start, end, node, true)
    }

    /// Items below a node of a level. O(levels).
    @inline(__always)
    func items(below node: Int, depth: Int) -> Int {
        var (start, end) = (node, node + 1)
        for _ in depth..<(levels - 1) { (start, end) = (Int(first[start]), Int(first[end])) }
        guard before.count > 0 else { return end - start }
        return Int(before[end - leaves]) - Int(before[start - leaves])
    }

    func walk(
        from start: Int, to end: Int, depth: Int, path: Identifier, _ body: (Identifier, Int) throws -> Void
    ) rethrows {
        for node in start..<end {
            let path = path.appending(codes[node])
            if depth == levels - 1 {
                try body(path, before.isEmpty ? 1 : Int(before[node - leaves + 1] - before[node - leaves]))
            } else {
                try walk(
                    from: Int(first[node]), to: Int(first[node + 1]), depth: depth + 1, path: path, body)
            }
        }
    }
}
