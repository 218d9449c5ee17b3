package import Core

/// Items and their identifiers, held compactly: ids and identifiers one after another in two arrays.
package struct IdentifierDump: Sendable {
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var identifiers: [Identifier] = []

    /// How many items there are. O(1).
    package var count: Int { ends.count }

    /// The item and the identifier at a position. O(length of the id).
    package subscript(index: Int) -> (item: ItemID, codes: Identifier) {
        let start = index == 0 ? 0 : ends[index - 1]
        return (ItemID(unchecked: Array(bytes[start..<ends[index]])), identifiers[index])
    }

    mutating func append(id: [UInt8], codes: Identifier) {
        bytes.append(contentsOf: id)
        ends.append(bytes.count)
        identifiers.append(codes)
    }
}
