import Core
import Glibc

/// The generator xoshiro256** (Blackman, Vigna 2018), seeded by SplitMix64: the same seed gives the same numbers everywhere.
package struct Random: RandomNumberGenerator, Sendable, Codable, Equatable {
    private var s0: UInt64
    private var s1: UInt64
    private var s2: UInt64
    private var s3: UInt64
    /// The second number of the last pair that `normal` made.
    private var spare: Double?

    /// A generator with this seed.
    package init(seed: UInt64) {
        var seeds = SplitMix64(seed: seed)
        (s0, s1, s2, s3) = (seeds.next(), seeds.next(), seeds.next(), seeds.next())
    }

    /// The next 64 bits.
    package mutating func next() -> UInt64 {
        let product = s1 &* 5
        let result = (product << 7 | product >> 57) &* 9
        let t = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = s3 << 45 | s3 >> 19
        return result
    }

    /// A number from the uniform distribution over [0, 1), with 53 random bits.
    package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// A number from the uniform distribution over `0..<bound`, without bias (Lemire 2019).
    ///
    /// - Precondition: `bound` is positive.
    package mutating func index(below bound: Int) -> Int {
        precondition(bound > 0, "the bound must be positive")
        let range = UInt64(bound)
        while true {
            let (high, low) = next().multipliedFullWidth(by: range)
            if low >= range || low >= (0 &- range) % range { return Int(high) }
        }
    }

    /// A number from the normal distribution with mean 0 and variance 1, by Marsaglia's polar method.
    package mutating func normal() -> Double {
        if let value = spare {
            spare = nil
            return value
        }
        while true {
            let (u, v) = (2 * uniform() - 1, 2 * uniform() - 1)
            let s = u * u + v * v
            guard s > 0, s < 1 else { continue }
            let factor = (-2 * log(s) / s).squareRoot()
            spare = v * factor
            return u * factor
        }
    }

    /// A matrix (rows, columns) of normal numbers with mean 0 and this standard deviation.
    package mutating func normalMatrix(rows: Int, columns: Int, deviation: Double) -> Matrix {
        Matrix(rows: rows, columns: columns, (0..<rows * columns).map { _ in Float(deviation * normal()) })
    }

    /// Shuffles in place (Fisher–Yates). The order is the same in every version of Swift, which the standard library's
    /// `shuffle` does not promise. O(values).
    package mutating func shuffle<T>(_ values: inout [T]) {
        for i in stride(from: values.count - 1, to: 0, by: -1) { values.swapAt(i, index(below: i + 1)) }
    }
}
