/// Finds the words of a text: the longest sequences of letters, digits and marks that follow them, in lower case.
///
/// A scalar belongs to a word if it has the Unicode property Alphabetic, if it has a numeric value, or if it is a combining
/// mark after such a scalar. Each scalar is replaced by its full lower-case mapping. The text is not normalised; it should
/// be in NFC, as nearly all text is. For ASCII the result does not depend on the version of Unicode.
struct WordScanner {
    /// The scalars of the current word between two boundary marks, so that trigrams differ at the beginning and the end of
    /// words. The marks are scalars that no word contains.
    private(set) var bounded: [UInt32] = []

    /// The boundary mark before a word.
    private static let start: UInt32 = 2
    /// The boundary mark after a word.
    private static let end: UInt32 = 3

    /// For each ASCII character its lower-case form if it is a letter or digit, otherwise 0.
    private static let ascii: [UInt8] = (0..<128).map { (byte: UInt8) in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte + 32
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
        default: 0
        }
    }

    /// Calls `body` with each word of a text, from the first to the last, with its boundary marks. O(length of the text).
    mutating func scan(_ text: String, _ body: (borrowing [UInt32]) -> Void) {
        let ascii = Self.ascii
        bounded.removeAll(keepingCapacity: true)
        bounded.append(Self.start)
        for scalar in text.unicodeScalars {
            let value = scalar.value
            if value < 128 {
                let folded = ascii[Int(value)]
                if folded != 0 {
                    bounded.append(UInt32(folded))
                } else {
                    finish(body)
                }
            } else {
                appendOrFinish(scalar, body)
            }
        }
        finish(body)
    }

    /// Gives out the current word, if there is one, and begins the next.
    private mutating func finish(_ body: (borrowing [UInt32]) -> Void) {
        guard bounded.count > 1 else { return }
        bounded.append(Self.end)
        body(bounded)
        bounded.removeLast(bounded.count - 1)
    }

    /// Handles a scalar beyond ASCII. It is a function of its own because it is rare and slow.
    @inline(never)
    private mutating func appendOrFinish(_ scalar: Unicode.Scalar, _ body: (borrowing [UInt32]) -> Void) {
        let properties = scalar.properties
        var belongs = properties.isAlphabetic || properties.numericType != nil
        if !belongs && bounded.count > 1 {
            switch properties.generalCategory {
            case .nonspacingMark, .spacingMark, .enclosingMark: belongs = true
            default: break
            }
        }
        guard belongs else { return finish(body) }
        for lower in properties.lowercaseMapping.unicodeScalars { bounded.append(lower.value) }
    }
}
