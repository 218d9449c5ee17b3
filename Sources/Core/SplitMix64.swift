/// The generator SplitMix64 (Steele, Lea, Flood 2014): for seeding other generators and for hashing, the same on every
/// machine. Not for secrets.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    /// The increment: 2⁶⁴ divided by the golden ratio, rounded to an odd number.
    package static let increment: UInt64 = 0x9e37_79b9_7f4a_7c15

    @usableFromInline var state: UInt64

    /// A generator with this seed.
    @inlinable package init(seed: UInt64) { state = seed }

    /// The next 64 bits: state ← state + increment, and then `mix(state)`.
    @inlinable package mutating func next() -> UInt64 {
        state &+= Self.increment
        return Self.mix(state)
    }

    /// The output function: a bijection in which every input bit affects every output bit.
    @inlinable package static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
