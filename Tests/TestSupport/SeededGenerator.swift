import Core

/// Repeatable random numbers for property tests; print the seed with what fails.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var numbers: SplitMix64

    package init(seed: UInt64) { numbers = SplitMix64(seed: seed) }

    package mutating func next() -> UInt64 { numbers.next() }

    /// Bytes of a length drawn from `lengths`, any bytes, zero included.
    package mutating func bytes(_ lengths: ClosedRange<Int>) -> [UInt8] {
        let count = Int.random(in: lengths, using: &self)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    /// Numbers between −1 and 1.
    package mutating func vector(_ width: Int) -> [Float] {
        (0..<width).map { _ in Float.random(in: -1...1, using: &self) }
    }
}
