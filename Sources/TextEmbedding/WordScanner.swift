/// The words of a text: longest runs of letters, digits and the marks that follow them, in lower case.
///
/// A scalar belongs to a word if its Unicode property Alphabetic holds, if it has a numeric value, or if it is a
/// combining mark after such a scalar. Case is folded scalar by scalar with the full lower-case mapping. Text is not
/// normalised: write it in NFC, as nearly all text is. For ASCII none of this depends on a version of Unicode.
struct WordScanner {
    /// Scalars of the current word between two boundary marks, so that trigrams see where words begin and end.
    ///
    /// The marks are scalars that no word contains.
    private(set) var bounded: [UInt32] = []

    /// What stands before the first and after the last scalar of `bounded`.
    private static let start: UInt32 = 2
    private static let end: UInt32 = 3

    /// The lower-case form of an ASCII letter or digit; 0 for everything else below 128.
    private static let ascii: [UInt8] = (0..<128).map { (byte: UInt8) in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte + 32
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
        default: 0
        }
    }

    /// Calls `body` with each word of a text in turn, boundary marks included. O(text).
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

    private mutating func finish(_ body: (borrowing [UInt32]) -> Void) {
        guard bounded.count > 1 else { return }
        bounded.append(Self.end)
        body(bounded)
        bounded.removeLast(bounded.count - 1)
    }

    /// What `scan` does with a scalar beyond ASCII; apart, because it is rare and slow.
    @inline(never)
    private mutating func appendOrFinish(_ scalar: Unicode.Scalar, _ body: (borrowing [UInt32]) -> Void) {
        let properties = scalar.properties
        var isPart = properties.isAlphabetic || properties.numericType != nil
        if !isPart && bounded.count > 1 {
            switch properties.generalCategory {
            case .nonspacingMark, .spacingMark, .enclosingMark: isPart = true
            default: break
            }
        }
        guard isPart else { return finish(body) }
        for lower in properties.lowercaseMapping.unicodeScalars { bounded.append(lower.value) }
    }
}
