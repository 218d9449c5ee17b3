import CXXHash
import Core

/// How a catalog's vectors are stored.
package enum VectorElement: String, Sendable, CaseIterable {
    /// IEEE single precision, little-endian, 4 bytes.
    case f32
    /// IEEE half precision, little-endian, 2 bytes.
    case f16

    /// Bytes of one element.
    package var byteCount: Int { self == .f32 ? 4 : 2 }
}

/// What the `meta` database of a catalog says. Schema/catalog.md describes it.
package struct CatalogFormat: Hashable, Sendable {
    /// The value of `format` that this version reads and writes.
    package static let name = "letter-catalog/1"
    /// Greatest width of a vector.
    package static let maximumDimension = 65_536

    /// Width of the semantic embeddings.
    package var dimension: Int
    /// How they are stored.
    package var elementType: VectorElement
    /// What made them; provenance, never interpreted.
    package var embeddingModel: String

    package init(dimension: Int, elementType: VectorElement = .f32, embeddingModel: String = "") {
        self.dimension = dimension
        self.elementType = elementType
        self.embeddingModel = embeddingModel
    }

    /// Bytes of one vector.
    package var vectorByteCount: Int { dimension * elementType.byteCount }
}

/// The named databases of a catalog.
enum DatabaseName {
    static let meta = "meta"
    static let embeddings = "embeddings"
    static let items = "items"
    static let interactions = "interactions"
    static let cf = "cf"
}

extension Digest {
    /// XXH3-128 of a record's bytes.
    init(of bytes: UnsafeRawBufferPointer) {
        let hash = XXH3_128bits(bytes.baseAddress, bytes.count)
        self.init(high: hash.high64, low: hash.low64)
    }
}

/// Why a record cannot be encoded; the raw values are what the index and its answers call it.
package enum RecordFault: String, Sendable {
    /// The value's length is not `dimension` times the element's.
    case wrongSize = "wrong_size"
    /// The vector holds a NaN or an infinity.
    case notFinite = "not_finite"
}

/// Turns stored vectors into Float32.
enum VectorDecoder {
    /// Appends the vector in `bytes` to `vectors`, or says what is wrong with it and appends nothing. O(dimension).
    static func append(
        _ bytes: UnsafeRawBufferPointer, format: CatalogFormat, to vectors: inout [Float]
    ) -> RecordFault? {
        guard bytes.count == format.vectorByteCount else { return .wrongSize }
        let start = vectors.count
        switch format.elementType {
        case .f32:
            vectors.append(contentsOf: repeatElement(0, count: format.dimension))
            vectors.withUnsafeMutableBytes { target in
                UnsafeMutableRawBufferPointer(rebasing: target[(4 * start)...]).copyMemory(from: bytes)
            }
        case .f16:
            vectors.reserveCapacity(start + format.dimension)
            for index in 0..<format.dimension {
                vectors.append(Float(bytes.loadUnaligned(fromByteOffset: 2 * index, as: Float16.self)))
            }
        }
        let finite = vectors.withUnsafeBufferPointer { allFinite(UnsafeBufferPointer(rebasing: $0[start...])) }
        guard finite else {
            vectors.removeSubrange(start...)
            return .notFinite
        }
        return nil
    }

    /// Whether no element is a NaN or an infinity: x · 0 is 0 for finite x only.
    private static func allFinite(_ values: UnsafeBufferPointer<Float>) -> Bool {
        var sums = SIMD16<Float>.zero
        var index = 0
        while index + 16 <= values.count {
            let chunk = UnsafeRawPointer(values.baseAddress! + index).loadUnaligned(as: SIMD16<Float>.self)
            sums += chunk * 0
            index += 16
        }
        var sum = sums.sum()
        while index < values.count {
            sum += values[index] * 0
            index += 1
        }
        return sum == 0
    }
}
