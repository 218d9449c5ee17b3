/// Name of an item in a catalog: 1 to 511 bytes, any bytes, ordered as `memcmp` orders them.
package struct ItemID: Hashable, Sendable {
    /// The bytes of the id.
    package let bytes: [UInt8]

    /// Longest id in bytes; LMDB's greatest key.
    package static let maximumLength = 511

    /// Wraps bytes that are known to be an id's, such as a key read from a catalog.
    package init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// An id of these bytes, or nil unless there are 1 to 511.
    package init?(_ bytes: some Collection<UInt8>) {
        guard !bytes.isEmpty, bytes.count <= Self.maximumLength else { return nil }
        self.bytes = Array(bytes)
    }

    /// Reads the form that arguments and JSON use: text, or `base64:` and the bytes in base64.
    ///
    /// Returns nil for an empty or over-long id and for bad base64.
    package init?(text: String) {
        if text.utf8.starts(with: Self.base64Prefix.utf8) {
            guard let decoded = Base64.decode(text.utf8.dropFirst(Self.base64Prefix.utf8.count)) else { return nil }
            self.init(decoded)
        } else {
            self.init(text.utf8)
        }
    }

    /// The form that arguments and JSON use: the bytes as text where they are UTF-8, else `base64:…`.
    ///
    /// An id that itself starts with `base64:` is written in base64, so that `ItemID(text: id.text) == id` for every id.
    package var text: String {
        if let text = String(validating: bytes, as: UTF8.self), !bytes.starts(with: Self.base64Prefix.utf8) {
            return text
        }
        return Self.base64Prefix + Base64.encode(bytes)
    }

    private static let base64Prefix = "base64:"
}

extension ItemID: Comparable {
    package static func < (left: Self, right: Self) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}

extension ItemID: CustomStringConvertible {
    package var description: String { text }
}

extension ItemID: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = ItemID(text: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "an item id has 1 to 511 bytes, as text or as base64:…")
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
