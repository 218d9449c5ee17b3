/// A code: which row of a level's codebook, 0 up to 65,535.
package typealias Code = UInt16

/// A sequence of codes, one a level: an item's identifier, or a prefix of one (the empty prefix included).
///
/// At most 9 codes (8 levels, and the extra one of the `suffix` policy), held without allocation. The order is the
/// trie's: code by code, a prefix before what it begins.
package struct Identifier: Hashable, Sendable {
    /// Codes 0–3 and 4–7, first code highest; code 8. Codes past the end are zero.
    private var high: UInt64 = 0
    private var low: UInt64 = 0
    private var last: UInt16 = 0
    private var length: UInt8 = 0

    /// Most codes in an identifier.
    package static let maximumLength = 9

    /// The empty prefix.
    package init() {}

    /// These codes, or nil if there are more than 9.
    package init?(_ codes: some Sequence<Code>) {
        for code in codes {
            guard length < Self.maximumLength else { return nil }
            append(code)
        }
    }

    /// How many codes there are.
    package var count: Int { Int(length) }

    /// Whether this is the empty prefix.
    package var isEmpty: Bool { length == 0 }

    /// The code of a level. O(1).
    package subscript(level: Int) -> Code {
        precondition(level >= 0 && level < count, "level out of range")
        switch level {
        case 0..<4: return Code(truncatingIfNeeded: high >> UInt64(48 - 16 * level))
        case 4..<8: return Code(truncatingIfNeeded: low >> UInt64(48 - 16 * (level - 4)))
        default: return last
        }
    }

    /// Adds the code of the next level.
    ///
    /// - Precondition: there are fewer than 9 codes.
    package mutating func append(_ code: Code) {
        precondition(length < Self.maximumLength, "an identifier has at most 9 codes")
        switch count {
        case 0..<4: high |= UInt64(code) << UInt64(48 - 16 * count)
        case 4..<8: low |= UInt64(code) << UInt64(48 - 16 * (count - 4))
        default: last = code
        }
        length += 1
    }

    /// This prefix and one code more.
    package func appending(_ code: Code) -> Identifier {
        var result = self
        result.append(code)
        return result
    }

    /// This prefix and some codes more.
    package func appending(contentsOf codes: some Sequence<Code>) -> Identifier {
        codes.reduce(into: self) { $0.append($1) }
    }

    /// The first `count` codes (all of them if there are fewer). O(1).
    package func prefix(_ count: Int) -> Identifier {
        guard count < self.count else { return self }
        var result = Identifier()
        // A shift by 64 or more gives zero.
        result.high = high & ~(UInt64.max >> UInt64(16 * count))
        if count > 4 { result.low = low & ~(UInt64.max >> UInt64(16 * (count - 4))) }
        result.length = UInt8(count)
        return result
    }

    /// How many codes both begin with. O(1).
    package func sharedPrefix(with other: Identifier) -> Int {
        var same = (high ^ other.high).leadingZeroBitCount / 16
        if same == 4 { same += (low ^ other.low).leadingZeroBitCount / 16 }
        if same == 8, last == other.last { same += 1 }
        return min(same, count, other.count)
    }

    /// The codes as an array.
    package var codes: [Code] { (0..<count).map { self[$0] } }
}

extension Identifier: Comparable {
    package static func < (left: Self, right: Self) -> Bool {
        if left.high != right.high { return left.high < right.high }
        if left.low != right.low { return left.low < right.low }
        if left.last != right.last { return left.last < right.last }
        return left.length < right.length
    }
}

extension Identifier: ExpressibleByArrayLiteral {
    package init(arrayLiteral elements: Code...) {
        for code in elements { append(code) }
    }
}

// MARK: - Text

extension Identifier: CustomStringConvertible {
    /// `12-3-7-0`; the empty prefix is the empty string.
    package var description: String { codes.map(String.init).joined(separator: "-") }

    /// The tokens a recommender's vocabulary has for it: `<a_12><b_3><c_7><d_0>`.
    package var tokens: String {
        var text = ""
        for level in 0..<count {
            text += "<\(Character(UnicodeScalar(UInt8(ascii: "a") + UInt8(level))))_\(self[level])>"
        }
        return text
    }

    /// Reads `12-3-7-0` or `<a_12><b_3><c_7><d_0>`; the empty string is the empty prefix. Nil for anything else.
    package init?(text: String) {
        self.init()
        guard !text.isEmpty else { return }
        if text.hasPrefix("<") {
            for (level, token) in text.dropFirst().split(separator: "<", omittingEmptySubsequences: false).enumerated()
            {
                let letter = Character(UnicodeScalar(UInt8(ascii: "a") + UInt8(min(level, 25))))
                guard level < Self.maximumLength, token.hasPrefix("\(letter)_"), token.hasSuffix(">"),
                    let code = Self.code(token.dropFirst(2).dropLast())
                else { return nil }
                append(code)
            }
        } else {
            for part in text.split(separator: "-", omittingEmptySubsequences: false) {
                guard count < Self.maximumLength, let code = Self.code(part) else { return nil }
                append(code)
            }
        }
    }

    /// Decimal digits only: `Code.init` alone would take a sign too.
    private static func code(_ digits: Substring) -> Code? {
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return Code(digits)
    }
}

// MARK: - Bytes

extension Identifier {
    /// Two bytes a code, big-endian, so that `memcmp` orders them as the trie does.
    package var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(2 * count)
        for level in 0..<count {
            result.append(UInt8(truncatingIfNeeded: self[level] >> 8))
            result.append(UInt8(truncatingIfNeeded: self[level]))
        }
        return result
    }

    /// Reads `bytes`; nil unless the length is even and at most 18.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count % 2 == 0, bytes.count <= 2 * Self.maximumLength else { return nil }
        self.init()
        var iterator = bytes.makeIterator()
        while let high = iterator.next(), let low = iterator.next() { append(Code(high) << 8 | Code(low)) }
    }
}

extension Identifier: Codable {
    /// An array of numbers.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let identifier = Identifier(try container.decode([Code].self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "an identifier has at most \(Self.maximumLength) codes")
        }
        self = identifier
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(codes)
    }
}
