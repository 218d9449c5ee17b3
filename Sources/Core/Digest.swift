/// A 128-bit fingerprint of a catalog record; equal digests mean an unchanged record.
package struct Digest: Hashable, Sendable {
    /// Upper and lower 64 bits.
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Length of `bytes`.
    package static let byteCount = 16
}
