/// The hash FNV-1a (Fowler, Noll, Vo) with 64 bits, over units of 32 bits: the same on every machine and in every process,
/// unlike `Hasher`. Not for keys that an attacker may choose.
package struct FNV1a: Sendable {
    /// The hash of the units added so far.
    package var value: UInt64 = 0xcbf2_9ce4_8422_2325

    @inlinable package init() {}

    /// Adds a unit: value ← (value XOR unit) · (2⁴⁰ + 2⁸ + 0xb3), modulo 2⁶⁴. O(1).
    @inlinable package mutating func add(_ unit: UInt32) { value = (value ^ UInt64(unit)) &* 0x100_0000_01b3 }
}
