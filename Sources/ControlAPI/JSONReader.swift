package import Core

/// Reads the few forms of JSON that batch look-ups have, straight from bytes and without recursion.
///
/// An unexpected value is an error at once, so deep nesting costs neither stack nor time.
package struct JSONReader {
    private let bytes: [UInt8]
    private var index = 0

    /// A reader at the first of these bytes.
    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Reads `{"name": value, …}` and then the end of the text; `member` reads the value of each name.
    ///
    /// - Throws: `control.bad_json` for anything else and for a repeated name; what `member` throws.
    package mutating func object(_ member: (inout JSONReader, String) throws -> Void) throws {
        try expect(UInt8(ascii: "{"), "an object")
        var names: Set<String> = []
        if !take(UInt8(ascii: "}")) {
            repeat {
                let name = try string()
                // The set stays small: `member` refuses names that it does not know.
                guard names.insert(name).inserted else { throw failure("a repeated name") }
                try expect(UInt8(ascii: ":"), "a colon")
                try member(&self, name)
            } while take(UInt8(ascii: ","))
            try expect(UInt8(ascii: "}"), "a comma or the end of the object")
        }
        skipSpace()
        guard index == bytes.count else { throw failure("something follows the object") }
    }

    /// Reads `[element, …]` of at most `limit` elements.
    ///
    /// - Throws: `control.batch_too_large` if there are more; `control.bad_json`; what `element` throws.
    package mutating func array<Element>(
        limit: Int, _ element: (inout JSONReader) throws -> Element
    ) throws -> [Element] {
        try expect(UInt8(ascii: "["), "an array")
        if take(UInt8(ascii: "]")) { return [] }
        var result: [Element] = []
        result.reserveCapacity(min(limit, (bytes.count - index) / 12))
        repeat {
            guard result.count < limit else {
                throw ControlError(
                    .batchTooLarge, "The batch has more than \(limit) elements.",
                    remedy: "Send it in batches of at most \(limit).")
            }
            result.append(try element(&self))
        } while take(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"), "a comma or the end of the array")
        return result
    }

    /// Reads a string.
    package mutating func string() throws -> String {
        let content = try stringBytes()
        guard let text = String(validating: content.bytes, as: UTF8.self) else { throw failure("not UTF-8") }
        return text
    }

    /// Reads a string that is an item id in its text form. O(bytes); one allocation for ids of plain ASCII.
    package mutating func item() throws -> ItemID {
        let content = try stringBytes()
        if content.isASCII && content.bytes.first != UInt8(ascii: "b") {
            guard let id = ItemID(content.bytes) else { throw badItem() }
            return id
        }
        guard let text = String(validating: content.bytes, as: UTF8.self) else { throw failure("not UTF-8") }
        guard let id = ItemID(text: text) else { throw badItem() }
        return id
    }

    private func badItem() -> ControlError {
        ControlError(
            .badItemID, "The item id before byte \(index) is empty, too long or bad base64.",
            remedy: "Give 1 to \(ItemID.maximumLength) bytes, as text or as base64:….")
    }

    /// Reads an identifier or prefix: `"12-3-7-0"`, `"<a_12><b_3>"` or `[12,3,7,0]`.
    package mutating func identifier() throws -> Identifier {
        skipSpace()
        if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
            let text = try string()
            guard let identifier = Identifier(text: text) else { throw ControlError.badIdentifier(text) }
            return identifier
        }
        let codes = try array(limit: Identifier.maximumLength) { reader in
            let value = try reader.integer()
            guard let code = Code(exactly: value) else { throw ControlError.badIdentifier("\(value)") }
            return code
        }
        guard let identifier = Identifier(codes) else { throw failure("too many codes") }
        return identifier
    }

    /// Reads a whole number of at most 15 digits.
    package mutating func integer() throws -> Int {
        skipSpace()
        let isNegative = index < bytes.count && bytes[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        let start = index
        var value = 0
        while index < bytes.count, index - start < 16, (48...57).contains(bytes[index]) {
            value = value * 10 + Int(bytes[index] - 48)
            index += 1
        }
        let digits = index - start
        // JSON has no leading zeros.
        guard (1...15).contains(digits), digits == 1 || bytes[start] != 48 else {
            throw failure("expected a whole number")
        }
        return isNegative ? -value : value
    }

    /// A failure at the current position.
    package func failure(_ message: String) -> ControlError { .badJSON(message, at: index) }
}

// MARK: - Bytes

extension JSONReader {
    private mutating func skipSpace() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        skipSpace()
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func expect(_ byte: UInt8, _ what: String) throws {
        guard take(byte) else { throw failure("expected \(what)") }
    }

    /// The bytes of a string with its escapes resolved, and whether all are ASCII.
    private mutating func stringBytes() throws -> (bytes: ArraySlice<UInt8>, isASCII: Bool) {
        try expect(UInt8(ascii: "\""), "a string")
        let start = index
        var high: UInt8 = 0
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return (bytes[start..<(index - 1)], high < 0x80)
            case UInt8(ascii: "\\"):
                return (try escaped(from: start), false)
            case 0..<0x20: throw failure("a control character in a string")
            default:
                high |= byte
                index += 1
            }
        }
        throw failure("the string does not end")
    }

    /// The string from `start` to its closing quote, of which `start..<index` has no escapes.
    private mutating func escaped(from start: Int) throws -> ArraySlice<UInt8> {
        var result = Array(bytes[start..<index])
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return result[...]
            case UInt8(ascii: "\\"): try resolveEscape(into: &result)
            case 0..<0x20: throw failure("a control character in a string")
            default: result.append(byte)
            }
        }
        throw failure("the string does not end")
    }

    private mutating func resolveEscape(into result: inout [UInt8]) throws {
        guard index < bytes.count else { throw failure("the string does not end") }
        let byte = bytes[index]
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(byte)
        case UInt8(ascii: "b"): result.append(8)
        case UInt8(ascii: "f"): result.append(12)
        case UInt8(ascii: "n"): result.append(10)
        case UInt8(ascii: "r"): result.append(13)
        case UInt8(ascii: "t"): result.append(9)
        case UInt8(ascii: "u"):
            var value = UInt32(try hexadecimal())
            if (0xD800..<0xDC00).contains(value) {
                guard index + 1 < bytes.count, bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u")
                else { throw failure("half a surrogate pair") }
                index += 2
                let low = UInt32(try hexadecimal())
                guard (0xDC00..<0xE000).contains(low) else { throw failure("half a surrogate pair") }
                value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = UnicodeScalar(value) else { throw failure("half a surrogate pair") }
            result.append(contentsOf: Character(scalar).utf8)
        default: throw failure("an unknown escape")
        }
    }

    private mutating func hexadecimal() throws -> UInt16 {
        guard index + 4 <= bytes.count else { throw failure("the string does not end") }
        var value: UInt16 = 0
        for byte in bytes[index..<(index + 4)] {
            let digit: UInt8
            switch byte {
            case 48...57: digit = byte - 48
            case 65...70: digit = byte - 55
            case 97...102: digit = byte - 87
            default: throw failure("a bad \\u escape")
            }
            value = value << 4 | UInt16(digit)
        }
        index += 4
        return value
    }
}
