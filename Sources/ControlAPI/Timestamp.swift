import FoundationEssentials

/// A moment, in milliseconds since 1970 UTC; RFC 3339 text in JSON (`2026-11-21T19:17:02.000Z`).
package struct Timestamp: Hashable, Comparable, Sendable {
    /// Milliseconds since 1970-01-01 00:00 UTC.
    package var milliseconds: Int64

    package init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    package static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }

    private static let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

    /// The RFC 3339 text. Years are clamped to 0000–9999, the range of RFC 3339. O(1), less than a microsecond.
    package var text: String {
        let clamped = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
        // The style cuts off below a millisecond, and a Double cannot hold most milliseconds exactly: half a
        // millisecond more keeps 123 ms from becoming 122.
        return Self.style.format(Date(timeIntervalSince1970: (Double(clamped) + 0.5) / 1_000))
    }

    /// Reads `text`'s own form, `2026-11-21T19:17:02.000Z`; nil for anything else, such as another time zone or a day
    /// that the month does not have.
    package init?(text: String) {
        guard let date = try? Self.style.parse(text) else { return nil }
        self.init(milliseconds: Int64((date.timeIntervalSince1970 * 1_000).rounded()))
        // The style also parses forms that it does not write.
        guard self.text == text else { return nil }
    }
}

extension Timestamp: CustomStringConvertible {
    package var description: String { text }
}

extension Timestamp: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let timestamp = Timestamp(text: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an RFC 3339 time in UTC")
        }
        self = timestamp
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
