import FoundationEssentials
import Core

/// A safetensors file in memory: named arrays behind a JSON header, every byte of the data accounted for.
///
/// A file from anywhere may be given: sizes are checked before anything is allocated by them, and what does not add up
/// is a `FilesFailure` (`files.damaged`).
package struct Safetensors: Sendable {
    /// One array of the file.
    package struct Entry: Sendable {
        /// Format of the elements.
        package let element: ElementType
        /// Sizes of the dimensions; empty for a single number.
        package let shape: [Int]
        fileprivate let range: Range<Int>
    }

    /// Free text beside the arrays (`__metadata__`).
    package private(set) var metadata: [String: String] = [:]
    /// The arrays by name.
    package private(set) var entries: [String: Entry] = [:]
    private let bytes: [UInt8]
    private let path: String

    /// Longest header that is read, in bytes.
    package static let headerLimit = 1 << 20

    /// Reads a file of at most `limit` bytes.
    package init(path: String, limit: Int = 4 << 30) throws {
        try self.init(FileSystem.read(path, limit: limit), path: path)
    }

    /// Reads these bytes; `path` is for messages.
    package init(_ bytes: [UInt8], path: String) throws {
        self.bytes = bytes
        self.path = path
        guard bytes.count >= 8 else { throw FilesFailure.damaged(path, "too short for a safetensors file") }
        let length = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[$1]) << UInt64(8 * $1) }
        guard length <= UInt64(Self.headerLimit), Int(length) <= bytes.count - 8 else {
            throw FilesFailure.damaged(
                path, "the header says it has \(length) bytes; the file has \(bytes.count), and the limit is 1 MiB")
        }
        let start = 8 + Int(length)
        let header: SafetensorsHeader
        do {
            header = try JSONDecoder().decode(SafetensorsHeader.self, from: Data(bytes[8..<start]))
        } catch {
            throw FilesFailure(
                "damaged", .invalid, "\(path): the header is not that of a safetensors file",
                remedy: "Write the file again from its source.", cause: error)
        }
        metadata = header.metadata
        for (name, tensor) in header.tensors {
            guard let element = Self.types[tensor.dtype] else {
                throw FilesFailure.damaged(
                    path, "'\(name.prefix(80))' has the unknown type '\(tensor.dtype.prefix(40))'")
            }
            guard let size = Self.size(of: tensor.shape, element), tensor.dataOffsets.count == 2,
                case let (low, high) = (tensor.dataOffsets[0], tensor.dataOffsets[1]),
                low >= 0, high >= low, high <= bytes.count - start, high - low == size
            else {
                throw FilesFailure.damaged(path, "shape and place of '\(name.prefix(80))' contradict each other")
            }
            entries[name] = Entry(element: element, shape: tensor.shape, range: start + low..<start + high)
        }
        var next = start
        for range in entries.values.map(\.range).sorted(by: {
            ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound)
        }) {
            guard range.lowerBound == next else {
                throw FilesFailure.damaged(path, "arrays overlap or leave a gap at byte \(next)")
            }
            next = range.upperBound
        }
        guard next == bytes.count else { throw FilesFailure.damaged(path, "bytes after the last array") }
    }

    /// An array as Float, row by row; every value finite. O(elements).
    ///
    /// - Throws: `FilesFailure` if there is none of this name, the shape is not `shape`, or a value is not finite.
    package func floats(_ name: String, shape: [Int]? = nil) throws -> [Float] {
        let entry = try entry(name, shape: shape)
        let values = entry.element.floats(bytes[entry.range])
        if let index = values.firstIndex(where: { !$0.isFinite }) {
            throw FilesFailure.damaged(path, "element \(index) of '\(name)' is \(values[index])")
        }
        return values
    }

    /// An array of integers, row by row. O(elements).
    ///
    /// - Throws: `FilesFailure` if there is none of this name, or it has another shape or no integers.
    package func integers(_ name: String, shape: [Int]? = nil) throws -> [Int] {
        let entry = try entry(name, shape: shape)
        guard let values = entry.element.integers(bytes[entry.range]) else {
            throw FilesFailure.damaged(path, "'\(name)' has \(entry.element.rawValue) elements, not integers")
        }
        return values
    }

    private func entry(_ name: String, shape: [Int]?) throws -> Entry {
        guard let entry = entries[name] else { throw FilesFailure.damaged(path, "there is no array '\(name)'") }
        if let shape, entry.shape != shape {
            throw FilesFailure.damaged(path, "'\(name)' has the shape \(entry.shape), not \(shape)")
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
