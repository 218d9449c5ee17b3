import FoundationEssentials
import Core

/// A safetensors file in memory: a JSON header, then named arrays that cover the data without gaps or overlaps.
///
/// Safe on untrusted files: sizes are checked before anything is allocated for them, and a contradiction is a
/// `FilesError` (`files.damaged`).
package struct Safetensors: Sendable {
    /// One array of the file.
    package struct Entry: Sendable {
        /// Format of the elements.
        package let element: ElementType
        /// Sizes of the dimensions; empty for a single number.
        package let shape: [Int]
        fileprivate let range: Range<Int>
    }

    /// Free text that comes with the arrays (`__metadata__`).
    package private(set) var metadata: [String: String] = [:]
    /// The arrays by name.
    package private(set) var entries: [String: Entry] = [:]
    private let bytes: [UInt8]
    private let path: String

    /// Longest accepted header in bytes.
    package static let headerLimit = 1 << 20

    /// Reads a file of at most `limit` bytes. O(size).
    ///
    /// - Throws: `FilesError`.
    package init(path: String, limit: Int = 4 << 30) throws {
        try self.init(FileSystem.read(path, limit: limit), path: path)
    }

    /// Reads these bytes; `path` is for messages. O(header).
    ///
    /// - Throws: `FilesError` (`files.damaged`).
    package init(_ bytes: [UInt8], path: String) throws {
        self.bytes = bytes
        self.path = path
        var reader = ByteReader(bytes)
        guard let length = reader.number(UInt64.self) else {
            throw FilesError.damaged(path, "too short for a safetensors file")
        }
        guard length <= UInt64(Self.headerLimit), Int(length) <= bytes.count - 8 else {
            throw FilesError.damaged(
                path, "its header announces \(length) bytes; the file has \(bytes.count), and the limit is 1 MiB")
        }
        let start = 8 + Int(length)
        let header: SafetensorsHeader
        do {
            header = try JSONDecoder().decode(SafetensorsHeader.self, from: Data(bytes[8..<start]))
        } catch {
            throw FilesError.damaged(path, "the header is not that of a safetensors file", cause: error)
        }
        metadata = header.metadata
        for (name, tensor) in header.tensors {
            guard let element = Self.types[tensor.dtype] else {
                throw FilesError.damaged(
                    path, "'\(name.prefix(80))' has the unknown type '\(tensor.dtype.prefix(40))'")
            }
            guard let size = Self.size(of: tensor.shape, element), tensor.dataOffsets.count == 2,
                case let (low, high) = (tensor.dataOffsets[0], tensor.dataOffsets[1]),
                low >= 0, high >= low, high <= bytes.count - start, high - low == size
            else {
                throw FilesError.damaged(path, "shape and offsets of '\(name.prefix(80))' contradict each other")
            }
            entries[name] = Entry(element: element, shape: tensor.shape, range: start + low..<start + high)
        }
        var next = start
        for range in entries.values.map(\.range).sorted(by: {
            ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound)
        }) {
            guard range.lowerBound == next else {
                throw FilesError.damaged(path, "arrays overlap or leave a gap at byte \(next)")
            }
            next = range.upperBound
        }
        guard next == bytes.count else { throw FilesError.damaged(path, "bytes after the last array") }
    }

    /// An array as Float, row-major; every value is finite. O(elements).
    ///
    /// - Throws: `FilesError` if there is none of this name, the shape is not `shape`, or a value is not finite.
    package func floats(_ name: String, shape: [Int]? = nil) throws -> [Float] {
        let entry = try entry(name, shape: shape)
        let values = entry.element.floats(bytes[entry.range])
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw FilesError.damaged(path, "element \(index) of '\(name)' is \(values[index])")
        }
        return values
    }

    /// An array of integers, row-major. O(elements).
    ///
    /// - Throws: `FilesError` if there is none of this name, or it has another shape or does not hold integers.
    package func integers(_ name: String, shape: [Int]? = nil) throws -> [Int] {
        let entry = try entry(name, shape: shape)
        guard let values = entry.element.integers(bytes[entry.range]) else {
            throw FilesError.damaged(path, "'\(name)' has \(entry.element.rawValue) elements, not integers")
        }
        return values
    }

    private func entry(_ name: String, shape: [Int]?) throws -> Entry {
        guard let entry = entries[name] else { throw FilesError.damaged(path, "there is no array '\(name)'") }
        if let shape, entry.shape != shape {
            throw FilesError.damaged(path, "'\(name)' has the shape \(entry.shape), not \(shape)")
        }
        return entry
    }

    /// Bytes that a shape needs, or nil if it is negative or overflows.
    private static func size(of shape: [Int], _ element: ElementType) -> Int? {
        var size = element.size
        for extent in shape {
            let (product, overflow) = size.multipliedReportingOverflow(by: extent)
            guard extent >= 0, !overflow else { return nil }
            size = product
        }
        return size
    }

    private static let types: [String: ElementType] = [
        "F16": .float16, "BF16": .bfloat16, "F32": .float32, "F64": .float64, "I32": .int32, "I64": .int64,
        "U8": .uint8,
    ]
}

/// The JSON of the header.
private struct SafetensorsHeader: Decodable {
    struct Tensor: Decodable {
        let dtype: String
        let shape: [Int]
        let dataOffsets: [Int]

        enum CodingKeys: String, CodingKey {
            case dtype, shape
            case dataOffsets = "data_offsets"
        }
    }

    struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    var metadata: [String: String] = [:]
    var tensors: [String: Tensor] = [:]

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        for key in container.allKeys {
            if key.stringValue == "__metadata__" {
                metadata = try container.decode([String: String].self, forKey: key)
            } else {
                tensors[key.stringValue] = try container.decode(Tensor.self, forKey: key)
            }
        }
    }
}
