/// Number formats of array files, all little-endian, and their widening to Float.
package enum ElementType: String, Sendable, CaseIterable {
    case float16, bfloat16, float32, float64, int32, int64, uint8

    /// Bytes of one element.
    package var size: Int {
        switch self {
        case .uint8: 1
        case .float16, .bfloat16: 2
        case .float32, .int32: 4
        case .float64, .int64: 8
        }
    }

    /// These bytes as Float; doubles and integers that Float cannot hold are rounded. O(n).
    ///
    /// - Precondition: the count of bytes is a multiple of `size`.
    package func floats(_ bytes: ArraySlice<UInt8>) -> [Float] {
        bytes.withUnsafeBytes { raw in
            let count = raw.count / size
            return [Float](unsafeUninitializedCapacity: count) { output, initialised in
                for i in 0..<count {
                    switch self {
                    case .float32: output[i] = Float(bitPattern: Self.load(raw, i))
                    case .float16: output[i] = Self.widen(Self.load(raw, i))
                    case .bfloat16: output[i] = Float(bitPattern: UInt32(Self.load(raw, i) as UInt16) << 16)
                    case .float64: output[i] = Float(Double(bitPattern: Self.load(raw, i)))
                    case .int32: output[i] = Float(Self.load(raw, i) as Int32)
                    case .int64: output[i] = Float(Self.load(raw, i) as Int64)
                    case .uint8: output[i] = Float(raw[i])
                    }
                }
                initialised = count
            }
        }
    }

    /// These bytes as integers, or nil if this is not an integer format. O(n).
    package func integers(_ bytes: ArraySlice<UInt8>) -> [Int]? {
        bytes.withUnsafeBytes { raw in
            switch self {
            case .int32: (0..<raw.count / 4).map { Int(Self.load(raw, $0) as Int32) }
            case .int64: (0..<raw.count / 8).map { Int(Self.load(raw, $0) as Int64) }
            case .uint8: raw.map(Int.init)
            case .float16, .bfloat16, .float32, .float64: nil
            }
        }
    }

    @inline(__always)
    private static func load<T: FixedWidthInteger>(_ raw: UnsafeRawBufferPointer, _ index: Int) -> T {
        T(littleEndian: raw.loadUnaligned(fromByteOffset: index * MemoryLayout<T>.size, as: T.self))
    }

    /// An IEEE half-precision number, given by its bits, as Float; exact.
    package static func widen(_ half: UInt16) -> Float {
        let sign = UInt32(half & 0x8000) << 16
        let exponent = UInt32(half >> 10) & 0x1f
        let fraction = UInt32(half & 0x3ff)
        switch exponent {
        case 0:  // zero or subnormal: fraction × 2⁻²⁴
            let magnitude = Float(fraction) * 0x1p-24
            return sign == 0 ? magnitude : -magnitude
        case 31: return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
        default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
        }
    }
}

extension Array where Element == UInt8 {
    /// The little-endian bytes of these numbers. O(n).
    package init(littleEndian values: [Float]) {
        self = values.withUnsafeBytes { Array($0) }
    }

    /// The little-endian bytes of these numbers. O(n).
    package init(littleEndian values: [Int32]) {
        self = values.withUnsafeBytes { Array($0) }
    }
}
