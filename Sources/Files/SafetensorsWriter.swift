/// Builds a safetensors file. The bytes depend only on the arrays and metadata, not on the order of adding them.
package struct SafetensorsWriter {
    private var arrays: [String: (shape: [Int], values: [Float])] = [:]
    /// Free text that comes with the arrays.
    package var metadata: [String: String] = [:]

    /// A file without arrays.
    package init() {}

    /// Adds an array of float32, row-major.
    ///
    /// - Precondition: the shape holds as many values as there are.
    package mutating func add(_ name: String, shape: [Int], _ values: [Float]) {
        precondition(shape.reduce(1, *) == values.count, "\(name): the shape does not hold the values")
        arrays[name] = (shape, values)
    }

    /// The bytes of the file: arrays sorted by name, the data beginning at a multiple of 8 bytes. O(elements).
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
        var writer = ByteWriter(capacity: 8 + header.count + offset)
        writer.append(UInt64(header.count))
        writer.append(contentsOf: header)
        for (_, array) in sorted { writer.append(contentsOf: [UInt8](littleEndian: array.values)) }
        return writer.bytes
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
