import Core

/// The header of a .npy file: a Python literal such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }`.
struct NumPyHeader {
    let element: ElementType
    let rows: Int
    let columns: Int

    private static let formats: [String: ElementType] = [
        "<f2": .float16, "<f4": .float32, "<f8": .float64, "<i4": .int32, "<i8": .int64, "|u1": .uint8,
    ]

    init(_ bytes: [UInt8], path: String) throws {
        var scanner = Scanner(bytes: bytes, path: path)
        var descr: String?
        var fortran: Bool?
        var shape: [Int]?
        try scanner.expect("{")
        while !scanner.take("}") {
            let key = try scanner.string()
            try scanner.expect(":")
            switch key {
            case "descr":
                guard scanner.peek() == UInt8(ascii: "'") || scanner.peek() == UInt8(ascii: "\"") else {
                    throw FilesError.damaged(path, "its elements are records; plain numbers are needed")
                }
                descr = try scanner.string()
            case "fortran_order": fortran = try scanner.boolean()
            case "shape": shape = try scanner.tuple()
            default: throw FilesError.damaged(path, "unknown key '\(key.prefix(40))' in the .npy header")
            }
            if !scanner.take(",") {
                try scanner.expect("}")
                break
            }
        }
        guard let descr, let fortran, let shape else {
            throw FilesError.damaged(path, "the .npy header lacks descr, fortran_order or shape")
        }
        guard let element = Self.formats[descr] else {
            let order = descr.hasPrefix(">") ? "big-endian " : ""
            throw FilesError(
                .elementType, "\(path): \(order)elements of type '\(descr.prefix(40))' are not supported",
                remedy: "Save it as float32: numpy.save(path, array.astype('<f4')).")
        }
        guard !fortran || shape.count == 1 else {
            throw FilesError(
                .columnOrder, "\(path) is stored column by column (fortran_order)",
                remedy: "Save it row by row: numpy.save(path, numpy.ascontiguousarray(array)).")
        }
        guard (1...2).contains(shape.count) else {
            throw FilesError(
                .dimensions, "\(path) has \(shape.count) dimensions", remedy: "Give an array of 1 or 2.")
        }
        self.element = element
        rows = shape[0]
        columns = shape.count == 2 ? shape[1] : 1
    }
}

/// Reads the few kinds of Python literals that occur in a header.
private struct Scanner {
    let bytes: [UInt8]
    let path: String
    var position = 0

    mutating func peek() -> UInt8? {
        while position < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[position]) { position += 1 }
        return position < bytes.count ? bytes[position] : nil
    }

    mutating func take(_ character: UnicodeScalar) -> Bool {
        guard peek() == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func expect(_ character: UnicodeScalar) throws {
        guard take(character) else {
            throw FilesError.damaged(path, "the .npy header lacks '\(character)' at byte \(position)")
        }
    }

    mutating func string() throws -> String {
        guard let quote = peek(), quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
            throw FilesError.damaged(path, "the .npy header lacks a quote at byte \(position)")
        }
        guard let end = bytes[(position + 1)...].firstIndex(of: quote) else {
            throw FilesError.damaged(path, "a string in the .npy header has no end")
        }
        defer { position = end + 1 }
        return String(decoding: bytes[(position + 1)..<end], as: UTF8.self)
    }

    mutating func boolean() throws -> Bool {
        for (word, value) in [("True", true), ("False", false)] {
            _ = peek()
            if bytes[position...].starts(with: word.utf8) {
                position += word.utf8.count
                return value
            }
        }
        throw FilesError.damaged(path, "fortran_order is neither True nor False")
    }

    mutating func tuple() throws -> [Int] {
        var values: [Int] = []
        try expect("(")
        while !take(")") {
            var digits: [UInt8] = []
            while let next = peek(), (0x30...0x39).contains(next), digits.count < 20 {
                digits.append(next)
                position += 1
            }
            guard let value = Int(String(decoding: digits, as: UTF8.self)), values.count < 32 else {
                throw FilesError.damaged(path, "a size in the shape of the .npy header is not a number")
            }
            values.append(value)
            if !take(",") {
                try expect(")")
                break
            }
        }
        return values
    }
}
