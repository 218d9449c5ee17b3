import FoundationEssentials

/// JSON by Codable, for everything on the wire except batch look-ups, which `JSONReader` and `JSONWriter` handle.
package enum WireJSON {
    /// The value as JSON: members sorted by name, slashes not escaped, no spaces.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value))
    }

    /// Reads a value from JSON.
    ///
    /// - Throws: `DecodingError`, or what the value's own decoding throws.
    package static func decode<Value: Decodable>(_ type: Value.Type = Value.self, from json: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(json))
    }
}

/// The body of a request with few members.
package protocol JSONRequest: Codable, Sendable {
    /// The names of its members; any other name is an error.
    static var members: Set<String> { get }
}

extension JSONRequest {
    /// Reads the body.
    ///
    /// - Throws: `control.bad_json` for anything but an object with exactly the right members; what a member's own
    ///   decoding throws.
    package init(json: [UInt8]) throws {
        do {
            self = try WireJSON.decode(Strict<Self>.self, from: json).value
        } catch let error as DecodingError {
            throw ControlError.badJSON(error.summary)
        }
    }

    /// The body as JSON.
    package func json() throws -> [UInt8] { try WireJSON.encode(self) }
}

/// Reads a request and refuses members that it does not have: a misspelt name must not be ignored.
private struct Strict<Value: JSONRequest>: Decodable {
    let value: Value

    init(from decoder: any Decoder) throws {
        let names = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
        if let unknown = Set(names).subtracting(Value.members).min() {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "unknown member \"\(unknown.prefix(100))\""))
        }
        value = try Value(from: decoder)
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

extension DecodingError {
    /// What is wrong, in a few words.
    fileprivate var summary: String {
        switch self {
        case .keyNotFound(let key, _): return "\"\(key.stringValue)\" is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            let member = context.codingPath.last.map { "\"\($0.stringValue)\": " } ?? ""
            let text = context.debugDescription
            return member + (text.hasSuffix(".") ? String(text.dropLast()) : text)
        @unknown default: return "it cannot be decoded"
        }
    }
}
