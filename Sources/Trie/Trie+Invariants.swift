import Core

// What must hold of a trie at any time. `TrieBase.fault` is checked wherever a base comes from a file. The rest is
// compiled in when the package is built with LETTER_INTERNAL_CHECKS set in the environment, and costs O(nodes) a call.

extension TrieBase {
    /// The first contradiction in arrays that are to become a base; nil if there is none. O(nodes).
    static func fault(levels: Int, codes: [Code], first: [UInt32], starts: [Int], before: [UInt32]) -> String? {
        guard starts.count == levels + 1, starts.first == 0, starts.last == codes.count,
            zip(starts, starts.dropFirst()).allSatisfy(<=), first.count == starts[levels - 1] + 1,
            before.isEmpty || before.count == codes.count - starts[levels - 1] + 1
        else { return "the lengths of its arrays contradict each other" }
        // Each inner node has children, and the runs of children of a level's nodes fill the next level.
        for level in 0..<levels where Int(first[starts[level]]) != starts[level + 1] {
            return "the nodes of level \(level) do not begin where level \(level + 1) does"
        }
        guard before.isEmpty || before[0] == 0, zip(before, before.dropFirst()).allSatisfy(<) else {
            return "an identifier has no items"
        }
        return codes.withUnsafeBufferPointer { codes in
            first.withUnsafeBufferPointer { first in
                // A run of siblings begins at 0 and at each first child, and ends where the next one begins.
                var start = 0
                for next in first {
                    let end = Int(next)
                    guard start < end || codes.isEmpty else { return "a node has no children" }
                    guard end <= codes.count else { return "a node has children that do not exist" }
                    var node = start + 1
                    while node < end {
                        guard codes[node - 1] < codes[node] else { return "the codes of siblings do not ascend" }
                        node += 1
                    }
                    start = end
                }
                return nil
            }
        }
    }
}

#if LETTER_INTERNAL_CHECKS
    extension TrieBase {
        func _checkInvariants() {
            let fault = Self.fault(levels: levels, codes: codes, first: first, starts: starts, before: before)
            precondition(fault == nil, "a trie contradicts itself: \(fault ?? "")")
        }
    }

    extension TrieOverlay {
        func _checkInvariants() {
            precondition(change == levels[0].reduce(0) { $0 + Int($1.change) }, "the items of an overlay do not add up")
            for (level, entries) in levels.enumerated() {
                precondition(
                    entries.allSatisfy { $0.path.count == level + 1 && $0.change != 0 }, "an entry is on a wrong level")
                precondition(
                    zip(entries, entries.dropFirst()).allSatisfy { $0.path < $1.path }, "entries do not ascend")
                guard level + 1 < levels.count else { continue }
                // A path's change is the sum of those below it, and is left out where that is zero.
                var sums: [Identifier: Int32] = [:]
                for entry in levels[level + 1] { sums[entry.path.prefix(level + 1), default: 0] += entry.change }
                let here = Dictionary(uniqueKeysWithValues: entries.map { ($0.path, $0.change) })
                precondition(sums.filter { $0.value != 0 } == here, "the changes of two levels contradict each other")
            }
        }
    }

    extension TrieSnapshot {
        func _checkInvariants() {
            precondition(overlay.levels.count == base.levels, "an overlay of another length than its base")
            overlay._checkInvariants()
            // Changes that do not fit their base are an error of the merge, reported as such; see `LiveTrie.failure`.
        }
    }
#else
    extension TrieBase {
        @inline(__always) func _checkInvariants() {}
    }

    extension TrieSnapshot {
        @inline(__always) func _checkInvariants() {}
    }
#endif
