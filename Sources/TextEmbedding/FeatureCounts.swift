/// How often each feature of a text occurs, in the order of first occurrence.
///
/// The order matters: floating-point sums over the features must be taken in an order that depends on the text alone.
struct FeatureCounts {
    /// A feature: its hash, how often it occurred, what one occurrence of its kind weighs.
    struct Entry {
        let hash: UInt64
        var count: UInt32
        let weight: Float
    }

    private(set) var entries: [Entry] = []

    /// Open addressing with linear probing: 1 + index into `entries`, 0 where free. A power of two, at most half full.
    private var slots: [UInt32]

    /// Room for about this many features before the table grows.
    init(capacity: Int) {
        var size = 64
        while size < 2 * capacity { size *= 2 }
        slots = Array(repeating: 0, count: size)
        entries.reserveCapacity(min(capacity, size / 2))
    }

    /// Counts one occurrence. O(1) amortised.
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
