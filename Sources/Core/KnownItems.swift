/// What an index knows of a run of items, in key order: the side of a merge-join that is not the catalog.
///
/// Ids lie one behind another in `bytes`, so that a page of thousands of items is three allocations.
package struct KnownItems: Sendable {
    /// The ids' bytes, concatenated.
    package private(set) var bytes: [UInt8] = []
    /// Where each id ends in `bytes`.
    package private(set) var ends: [Int] = []
    /// The digest of the record that each item's row was made from.
    package private(set) var digests: [Digest] = []

    package init() {}

    /// How many items the page holds.
    package var count: Int { ends.count }

    /// The bytes of an id. O(1), no copy.
    package func id(_ index: Int) -> ArraySlice<UInt8> {
        bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]
    }

    /// Adds an item whose id `write` appends to the bytes. Amortised O(length of the id).
    package mutating func append(digest: Digest, id write: (inout [UInt8]) -> Void) {
        write(&bytes)
        ends.append(bytes.count)
        digests.append(digest)
    }
}
