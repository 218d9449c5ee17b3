package import Core

/// Writes JSON straight to bytes, for answers with thousands of elements.
///
/// It does not track nesting: the caller writes commas and brackets.
package struct JSONWriter: Sendable {
    /// The JSON written so far.
    package private(set) var bytes: [UInt8] = []

    /// An empty writer with `capacity` bytes reserved.
    package init(capacity: Int = 256) {
        bytes.reserveCapacity(capacity)
    }

    /// Text without quotes or escapes: punctuation and keys.
    @inline(__always)
    package mutating func raw(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    /// `true` or `false`.
    package mutating func bool(_ value: Bool) {
        value ? raw("true") : raw("false")
    }

    /// A number. O(digits).
    package mutating func number(_ value: Int) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        digits(value.magnitude)
    }

    /// A number, or null.
    package mutating func number(_ value: Int?) {
        guard let value else { return raw("null") }
        number(value)
    }

    @inline(__always)
    private mutating func digits(_ value: UInt) {
        if value < 10 {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value))
        } else if value < 100 {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / 10))
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value % 10))
        } else {
            digitsOfLarge(value)
        }
    }

    private mutating func digitsOfLarge(_ value: UInt) {
        var divisor: UInt = 100
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor /= 10
        }
    }

    /// A string, quoted and escaped. O(bytes).
    package mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): raw("\\\"")
            case UInt8(ascii: "\\"): raw("\\\\")
            case 0x0A: raw("\\n")
            case 0x0D: raw("\\r")
            case 0x09: raw("\\t")
            case 0..<0x20:
                raw("\\u00")
                bytes.append(Self.hexadecimal(byte >> 4))
                bytes.append(Self.hexadecimal(byte & 15))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func hexadecimal(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// An item id in its text form, quoted. O(bytes), without allocation for ids of plain ASCII.
    package mutating func item(_ item: ItemID) {
        // An id that starts with `b` might start with `base64:`, which has another text form.
        guard item.bytes.first != UInt8(ascii: "b"), item.bytes.allSatisfy(Self.isPlain) else {
            return string(item.text)
        }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: item.bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    @inline(__always)
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// Codes as an array of numbers.
    package mutating func codes(_ identifier: Identifier) {
        bytes.append(UInt8(ascii: "["))
        for level in 0..<identifier.count {
            if level > 0 { bytes.append(UInt8(ascii: ",")) }
            digits(UInt(identifier[level]))
        }
        bytes.append(UInt8(ascii: "]"))
    }

    /// The tokens of an identifier, quoted: `"<a_12><b_3>"`.
    package mutating func tokens(_ identifier: Identifier) {
        bytes.append(UInt8(ascii: "\""))
        for level in 0..<identifier.count {
            bytes.append(UInt8(ascii: "<"))
            bytes.append(UInt8(ascii: "a") + UInt8(truncatingIfNeeded: level))
            bytes.append(UInt8(ascii: "_"))
            digits(UInt(identifier[level]))
            bytes.append(UInt8(ascii: ">"))
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// An array, its elements written by `element`.
    package mutating func array<Element>(
        _ elements: some Collection<Element>, _ element: (inout JSONWriter, Element) -> Void
    ) {
        bytes.append(UInt8(ascii: "["))
        var first = true
        for value in elements {
            if !first { bytes.append(UInt8(ascii: ",")) }
            first = false
            element(&self, value)
        }
        bytes.append(UInt8(ascii: "]"))
    }
}
