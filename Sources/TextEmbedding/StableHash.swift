/// 64-bit hashes that are the same on every machine and for ever; `Hasher` is seeded anew in every process.
enum StableHash {
    /// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection in which every input bit reaches every
    /// output bit.
    @inline(__always)
    static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// The increment of SplitMix64, 2^64 over the golden ratio, made odd.
    static let golden: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// FNV-1a over 32-bit units, finished by `mix`.
    @inline(__always)
    static func sequence(_ units: ArraySlice<UInt32>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for unit in units { hash = (hash ^ UInt64(unit)) &* 0x100_0000_01B3 }
        return mix(hash)
    }
}
