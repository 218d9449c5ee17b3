/// Builds a safetensors file. The same arrays and metadata give the same bytes, in whatever order they are added.
package struct SafetensorsWriter {
    private var arrays: [String: (shape: [Int], values: [Float])] = [:]
    /// Free text beside the arrays.
    package var metadata: [String: String] = [:]

    package init() {}

    /// Adds an array of float32, row by row.
    ///
    /// - Precondition: the shape holds as many values as there are.
    package mutating func add(_ name: String, shape: [Int], _ values: [Float]) {
        precondition(shape.reduce(1, *) == values.count, "\(name): the shape does not hold the values")
        arrays[name] = (shape, values)
    }

    /// The bytes of the file: arrays in order of their names, data at a multiple of 8 bytes. O(elements).
    package func bytes() -> [UInt8] {
        var fields: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key < $1.key }.map { "\(Self.quoted($0.key)):\(Self.quoted($0.value))" }
            fields.append("\"__metadata__\":{\(pairs.joined(separator: ","))}")
        }
        let sorted = arrays.sorted { $0.key < $1.key }
        var offset = 0
        for (name, array) in sorted {
            let end = offset + 4 * array.values.count
            let shape = array.shape.map(String.init).joined(separator: ",")
            fields.append(
                "\(Self.quoted(name)):{\"dtype\":\"F32\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}")
            offset = end
        }
        var header = Array("{\(fields.joined(separator: ","))}".utf8)
        while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
        var bytes = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
        bytes.reserveCapacity(8 + header.count + offset)
        bytes += header
        for (_, array) in sorted { bytes += [UInt8](littleEndian: array.values) }
        return bytes
    }

    /// A JSON string.
    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where scalar.value < 0x20:
                result += "\\u" + String(scalar.value + 0x10000, radix: 16).dropFirst()
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
