/// How often each feature of a text occurs, in the order of first occurrence.
///
/// The order matters, because the order of floating-point sums over the features must depend on the text alone.
struct FeatureCounts {
    /// A feature.
    struct Entry {
        let hash: UInt64
        /// The number of its occurrences.
        var count: UInt32
        /// The weight of one occurrence.
        let weight: Float
    }

    /// The features found so far, in the order of first occurrence.
    private(set) var entries: [Entry] = []

    /// A hash table with open addressing and linear probing: 1 + index into `entries`, or 0 for a free slot. Its size is a
    /// power of two, and at most half of the slots are taken.
    private var slots: [UInt32]

    /// An empty table with space for about this many features before it grows.
    init(capacity: Int) {
        var size = 64
        while size < 2 * capacity { size *= 2 }
        slots = Array(repeating: 0, count: size)
        entries.reserveCapacity(min(capacity, size / 2))
    }

    /// Counts one occurrence of a feature. Amortised O(1).
    ///
    /// - Parameter weight: the weight of the feature, if this is its first occurrence.
    @inline(__always)
    mutating func add(_ hash: UInt64, weight: Float) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let found = slots[slot]
            if found == 0 { break }
            if entries[Int(found) - 1].hash == hash {
                entries[Int(found) - 1].count &+= 1
                return
            }
            slot = (slot + 1) & mask
        }
        entries.append(Entry(hash: hash, count: 1, weight: weight))
        slots[slot] = UInt32(entries.count)
        if entries.count * 2 > slots.count { grow() }
    }

    @inline(never)
    private mutating func grow() {
        slots = Array(repeating: 0, count: slots.count * 2)
        let mask = slots.count - 1
        for (index, entry) in entries.enumerated() {
            var slot = Int(truncatingIfNeeded: entry.hash) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = UInt32(index + 1)
        }
    }
}
