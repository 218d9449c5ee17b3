package import Core

/// The trie of live identifiers as it was after one commit of its index: an immutable base and what changed since.
///
/// Two references; its holder reads the same state for as long as it likes, while the index goes on changing.
///
/// ```swift
/// var lists = TrieSuccessors()
/// snapshot.successors(of: [[], [3]], into: &lists)
/// lists[1]  // the codes that may follow 3
/// ```
package struct TrieSnapshot: Sendable {
    let base: TrieBase
    let overlay: TrieOverlay
    /// The commit of the index that it is the state of.
    package let commit: Int

    init(base: TrieBase, overlay: TrieOverlay, commit: Int) {
        self.base = base
        self.overlay = overlay
        self.commit = commit
    }

    /// The state of a base alone, at commit 0.
    package init(counting base: TrieBase) {
        self.init(base: base, overlay: TrieOverlay(levels: base.levels), commit: 0)
    }

    /// Whether it has the same identifiers as `other`, with as many items each. O(nodes).
    ///
    /// - Throws: `trie.wrong_order` if the changes do not fit the base.
    package func isEqual(to other: TrieBase) throws -> Bool {
        let merged = try base.merged(with: overlay)
        return merged.levels == other.levels && merged.codes == other.codes && merged.first == other.first
            && merged.before == other.before
    }

    /// Length of the identifiers.
    package var levels: Int { base.levels }
    /// How many items there are.
    package var items: Int { base.items + overlay.change }
    /// Bytes of its arrays.
    package var byteCount: Int {
        base.byteCount
            + overlay.levels.reduce(0) { $0 + $1.count } * MemoryLayout<TrieOverlay.Entry>.stride
    }

    /// Live items below a prefix; for a whole identifier, its items. O(levels · log siblings).
    package func items(below prefix: Identifier) -> Int {
        guard !prefix.isEmpty else { return items }
        let view = TrieView(base)
        let node = view.children(of: prefix).node
        let change = overlay.count > 0 ? overlay.change(below: prefix) : 0
        return (node.map { view.items(below: $0, depth: prefix.count - 1) } ?? 0) + change
    }

    /// Codes that may follow a prefix, ascending; none after a whole identifier. O(levels · log siblings + children).
    package func successors(of prefix: Identifier) -> [Code] {
        var lists = TrieSuccessors()
        successors(of: [prefix], into: &lists)
        return Array(lists[0])
    }

    /// The codes that may follow each prefix, and the number of items below it. The lists are reused: they are emptied
    /// first.
    ///
    /// O(prefixes · (levels · log siblings + children)); no allocation once the lists have grown to the size of a batch.
    package func successors(of prefixes: [Identifier], into lists: inout TrieSuccessors) {
        lists.removeAll()
        let view = TrieView(base)
        for prefix in prefixes {
            let children = view.children(of: prefix)
            var items =
                prefix.isEmpty
                ? base.items : children.node.map { view.items(below: $0, depth: prefix.count - 1) } ?? 0
            let changed = changes(below: prefix)
            if changed.isEmpty {
                lists.codes.append(contentsOf: view.codes[children.start..<children.end])
            } else {
                merge(view, children.start, children.end, prefix.count, changed) { lists.codes.append($0) }
            }
            if overlay.count > 0 { items += overlay.change(below: prefix) }
            lists.ends.append(lists.codes.count)
            lists.items.append(items)
        }
    }

    /// The codes that may follow each prefix as bits: code `c` is bit `c` of the prefix's row. The masks are reused: they
    /// are cleared first.
    ///
    /// O(prefixes · (levels · log siblings + children + width / 64)); no allocation once the masks have grown to the size
    /// of a batch.
    ///
    /// - Precondition: every code is below the width of the masks.
    package func masks(of prefixes: [Identifier], into masks: inout TrieMasks) {
        masks.clear(rows: prefixes.count)
        let view = TrieView(base)
        for (row, prefix) in prefixes.enumerated() {
            let children = view.children(of: prefix)
            let changed = changes(below: prefix)
            if changed.isEmpty {
                masks.set(row: row, view.codes[children.start..<children.end])
            } else {
                merge(view, children.start, children.end, prefix.count, changed) { masks.set(row: row, $0) }
            }
        }
    }

    /// The entries of the overlay for children of a prefix.
    @inline(__always)
    private func changes(below prefix: Identifier) -> ArraySlice<TrieOverlay.Entry> {
        guard overlay.count > 0, prefix.count < levels else { return [] }
        let entries = overlay.levels[prefix.count]
        let start = TrieOverlay.lowerBound(entries[...], prefix.appending(0))
        var end = start
        while end < entries.count, entries[end].path.sharedPrefix(with: prefix) == prefix.count { end += 1 }
        return entries[start..<end]
    }

    /// Calls `body` with the codes of those children that have items: from a run of the base and the overlay's entries.
    private func merge(
        _ view: borrowing TrieView, _ start: Int, _ end: Int, _ depth: Int, _ changed: ArraySlice<TrieOverlay.Entry>,
        _ body: (Code) -> Void
    ) {
        var node = start
        for entry in changed {
            let code = entry.path[depth]
            while node < end, view.codes[node] < code {
                body(view.codes[node])
                node += 1
            }
            if node < end, view.codes[node] == code {
                if view.items(below: node, depth: depth) + Int(entry.change) > 0 { body(code) }
                node += 1
            } else if entry.change > 0 {
                body(code)
            }
        }
        while node < end {
            body(view.codes[node])
            node += 1
        }
    }

    /// Calls `body` with every identifier and its number of items, in order. O(nodes).
    ///
    /// - Throws: what `body` throws; `trie.wrong_order` if the changes do not fit the base.
    package func forEach(_ body: (Identifier, Int) throws -> Void) throws {
        try base.merged(with: overlay).forEach(body)
    }
}

/// The codes that may follow each prefix of a batch, one list after another.
package struct TrieSuccessors: Sendable {
    /// The codes of all lists.
    package fileprivate(set) var codes: [Code] = []
    /// Where each prefix's list ends in `codes`.
    package fileprivate(set) var ends: [Int] = []
    /// Live items below each prefix.
    package fileprivate(set) var items: [Int] = []

    /// No lists.
    package init() {}

    /// How many prefixes there are.
    package var count: Int { ends.count }

    /// The codes that may follow a prefix, ascending. O(1).
    package subscript(index: Int) -> ArraySlice<Code> { codes[(index == 0 ? 0 : ends[index - 1])..<ends[index]] }

    fileprivate mutating func removeAll() {
        codes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        items.removeAll(keepingCapacity: true)
    }
}

/// The codes that may follow each prefix of a batch, as bits: a row of whole words for each prefix, code 0 in the lowest
/// bit of the first word.
package struct TrieMasks: Sendable {
    /// Codes in a row.
    package let width: Int
    /// Words in a row.
    package let wordsPerRow: Int
    /// The words of all rows, (prefixes, `wordsPerRow`), row-major.
    package private(set) var words: [UInt64] = []

    /// Masks over the codes below `width`.
    package init(width: Int) {
        self.width = width
        wordsPerRow = (width + 63) / 64
    }

    /// Whether a code may follow the prefix of a row.
    package func allows(_ code: Code, row: Int) -> Bool {
        words[row * wordsPerRow + Int(code) / 64] >> (UInt64(code) % 64) & 1 == 1
    }

    fileprivate mutating func clear(rows: Int) {
        words.removeAll(keepingCapacity: true)
        words.append(contentsOf: repeatElement(0, count: rows * wordsPerRow))
    }

    fileprivate mutating func set(row: Int, _ code: Code) {
        precondition(Int(code) < width, "a code outside the mask")
        words[row * wordsPerRow + Int(code) / 64] |= 1 << (UInt64(code) % 64)
    }

    fileprivate mutating func set(row: Int, _ codes: ArraySlice<Code>) {
        for code in codes { set(row: row, code) }
    }
}
