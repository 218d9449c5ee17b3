import Glibc

/// Eight floats that are computed together. A sum is computed as eight interleaved sums that are added at the end, so its
/// bits depend on the numbers alone and not on the CPU.
typealias Lanes = SIMD8<Float>

extension SIMD8<Float> {
    @inline(__always) static func load(_ pointer: UnsafePointer<Float>, _ offset: Int) -> Self {
        UnsafeRawPointer(pointer + offset).loadUnaligned(as: Self.self)
    }

    @inline(__always) func store(_ pointer: UnsafeMutablePointer<Float>, _ offset: Int) {
        UnsafeMutableRawPointer(pointer + offset).storeBytes(of: self, as: Self.self)
    }
}

/// e^x with an error of about 2 units in the last place; 0 below −87, and never infinity, because x is limited to 88.
///
/// x = n ln 2 + r with a whole n and |r| ≤ ½ ln 2; a polynomial gives e^r, and 2ⁿ is made from n's bits.
@inline(__always) func exponential(_ input: Lanes) -> Lanes {
    let raised = input.replacing(with: -87, where: input .< -87)
    let x = raised.replacing(with: 88, where: raised .> 88)
    // n = round(x / ln 2), by adding and subtracting 1.5 · 2²³: the low bits of `shifted` are n.
    let shifted = x * 1.442_695_04 + 12_582_912
    let n = shifted - 12_582_912
    let r = (x - n * 0.693_359_375) - n * (-2.121_944_4e-4)
    var p = r * 1.987_569_15e-4 + 1.398_199_95e-3
    p = p * r + 8.333_451_9e-3
    p = p * r + 4.166_579_6e-2
    p = p * r + 1.666_666_55e-1
    p = p * r + 5.000_000_1e-1
    let value = p * r * r + r + 1
    let bits = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &- 0x4b40_0000
    let power = unsafeBitCast((bits &+ 127) &<< 23, to: Lanes.self)
    return (value * power).replacing(with: 0, where: input .< -87)
}

/// Σ xᵢ, in eight interleaved sums. O(count).
func sum(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    var lanes = Lanes()
    var i = 0
    while i + 8 <= count {
        lanes += Lanes.load(x, i)
        i += 8
    }
    var total = lanes.sum()
    while i < count {
        total += x[i]
        i += 1
    }
    return total
}

/// Σ xᵢ yᵢ, in eight interleaved sums. O(count).
@inline(__always) func dot(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) -> Float {
    var lanes = Lanes()
    var i = 0
    while i + 8 <= count {
        lanes += Lanes.load(x, i) * Lanes.load(y, i)
        i += 8
    }
    var total = lanes.sum()
    while i < count {
        total += x[i] * y[i]
        i += 1
    }
    return total
}

/// Σ (xᵢ − yᵢ)², in eight interleaved sums. O(count).
@inline(__always) func squaredDistance(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ count: Int) -> Float {
    var lanes = Lanes()
    var i = 0
    while i + 8 <= count {
        let difference = Lanes.load(x, i) - Lanes.load(y, i)
        lanes += difference * difference
        i += 8
    }
    var total = lanes.sum()
    while i < count {
        total += (x[i] - y[i]) * (x[i] - y[i])
        i += 1
    }
    return total
}
