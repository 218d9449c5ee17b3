package import Core

/// A change of the number of items of an identifier.
package struct TrieChange: Sendable, Hashable {
    /// The identifier.
    package var identifier: Identifier
    /// How many items it gained; negative: lost.
    package var items: Int

    /// A change of an identifier.
    package init(_ identifier: Identifier, _ items: Int) {
        self.identifier = identifier
        self.items = items
    }
}

/// What changed since a base was made: for every length of path, the paths below which the number of items differs, in
/// ascending order. Immutable.
final class TrieOverlay: Sendable {
    /// A path and how many items more or fewer are below it.
    struct Entry: Sendable, Hashable {
        var path: Identifier
        var change: Int32
    }

    /// Entries with paths of one code, of two, and so on, up to whole identifiers. No entry has a change of zero.
    let levels: [[Entry]]
    /// Items more or fewer in all.
    let change: Int

    init(levels: Int) {
        self.levels = Array(repeating: [], count: levels)
        change = 0
    }

    private init(_ levels: [[Entry]]) {
        self.levels = levels
        change = levels[0].reduce(0) { $0 + Int($1.change) }
    }

    /// How many identifiers differ.
    var count: Int { levels[levels.count - 1].count }

    /// This overlay and more changes. O(entries + changes · log changes).
    func adding(_ changes: [TrieChange]) -> TrieOverlay {
        guard !changes.isEmpty else { return self }
        var sorted = changes.sorted { $0.identifier < $1.identifier }.map {
            Entry(path: $0.identifier, change: Int32(truncatingIfNeeded: $0.items))
        }
        var result = levels
        for level in levels.indices.reversed() {
            // Entries with the same path become one. Shortened, the entries of the level below are still in order.
            var merged: [Entry] = []
            merged.reserveCapacity(sorted.count)
            for entry in sorted {
                let path = entry.path.prefix(level + 1)
                if let last = merged.last, last.path == path {
                    merged[merged.count - 1].change += entry.change
                } else {
                    merged.append(Entry(path: path, change: entry.change))
                }
            }
            sorted = merged
            result[level] = Self.merge(levels[level], merged)
        }
        return TrieOverlay(result)
    }

    private static func merge(_ old: [Entry], _ new: [Entry]) -> [Entry] {
        var result: [Entry] = []
        result.reserveCapacity(old.count + new.count)
        var rest = old[...]
        for entry in new where entry.change != 0 {
            let position = lowerBound(rest, entry.path)
            result.append(contentsOf: rest[rest.startIndex..<position])
            rest = rest[position...]
            var sum = entry.change
            if let same = rest.first, same.path == entry.path {
                sum += same.change
                rest = rest.dropFirst()
            }
            if sum != 0 { result.append(Entry(path: entry.path, change: sum)) }
        }
        result.append(contentsOf: rest)
        return result
    }

    /// The position of a path among entries, or where it would be. O(log entries).
    static func lowerBound(_ entries: ArraySlice<Entry>, _ path: Identifier) -> Int {
        var (low, high) = (entries.startIndex, entries.endIndex)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].path < path { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// How many items more or fewer are below a path. O(log entries).
    func change(below path: Identifier) -> Int {
        guard !path.isEmpty else { return change }
        guard path.count <= levels.count else { return 0 }
        let entries = levels[path.count - 1]
        let position = Self.lowerBound(entries[...], path)
        return position < entries.count && entries[position].path == path ? Int(entries[position].change) : 0
    }
}

extension TrieBase {
    /// The trie of this base with an overlay's changes. O(nodes + changes).
    ///
    /// - Throws: `trie.wrong_order` if more items are taken away than there are: the changes are not this base's.
    func merged(with overlay: TrieOverlay) throws -> TrieBase {
        guard overlay.count > 0 else { return self }
        var builder = TrieBuilder(levels: levels, identifiers: identifiers + overlay.count)
        let entries = overlay.levels[levels - 1]
        var position = 0
        try forEach { identifier, items in
            var items = items
            while position < entries.count, entries[position].path <= identifier {
                let entry = entries[position]
                position += 1
                if entry.path == identifier {
                    items += Int(entry.change)
                } else {
                    try builder.append(entry.path, items: Int(entry.change))
                }
            }
            if items != 0 { try builder.append(identifier, items: items) }
        }
        for entry in entries[position...] { try builder.append(entry.path, items: Int(entry.change)) }
        return builder.finish()
    }
}
