/// Reads bytes from front to back: little-endian numbers, and slices.
///
/// Where too few bytes are left a read returns nil and leaves the position where it was, so a truncated or damaged file
/// can never make its reader go past the end.
package struct ByteReader: Sendable {
    private let bytes: ArraySlice<UInt8>
    /// Index of the next byte.
    package private(set) var position: Int

    /// Reads a slice from its first byte on. O(1), no copy.
    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// Reads an array from `offset` on. O(1), no copy.
    ///
    /// - Precondition: `offset` is within the array or at its end.
    package init(_ bytes: [UInt8], at offset: Int = 0) {
        self.init(bytes[offset...])
    }

    /// Whether every byte was read.
    package var isAtEnd: Bool { position == bytes.endIndex }

    /// The next byte. O(1).
    package mutating func byte() -> UInt8? {
        guard position < bytes.endIndex else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    /// The next `count` bytes, as a slice of the same storage; nil too if `count` is negative. O(1).
    package mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= bytes.endIndex - position else { return nil }
        defer { position += count }
        return bytes[position..<(position + count)]
    }

    /// The next little-endian number. O(its size).
    package mutating func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) -> Number? {
        let size = MemoryLayout<Number>.size
        guard size <= bytes.endIndex - position else { return nil }
        let offset = position - bytes.startIndex
        position += size
        return bytes.withUnsafeBytes {
            Number(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Number.self))
        }
    }
}

/// Collects bytes: little-endian numbers, and what is already bytes.
package struct ByteWriter: Sendable {
    /// What was written so far.
    package private(set) var bytes: [UInt8] = []

    /// An empty writer with space for `capacity` bytes.
    package init(capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    /// Appends a number, little-endian. Amortised O(its size).
    package mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Appends bytes as they are. Amortised O(their count).
    package mutating func append(contentsOf more: some Sequence<UInt8>) {
        bytes.append(contentsOf: more)
    }
}
