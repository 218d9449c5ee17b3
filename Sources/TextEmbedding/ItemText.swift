import FoundationEssentials
package import Core

/// The text of an item that is embedded, composed from the item's JSON object.
package struct ItemText: Equatable, Sendable {
    /// The id of the item.
    package let id: ItemID
    /// Title, brand, categories and description, as far as the item has them, joined with ". ".
    ///
    /// Empty if it has none of them; `TextEmbedder.embed` throws then.
    package let text: String

    /// The fields of the text, in their order.
    package static let fields = ["title", "brand", "categories", "description"]

    /// Reads an item, a JSON object as in a line of `items.jsonl`.
    ///
    /// A field may be a string, a number, an array of these (joined with ", ") or null. Surrounding white space is removed,
    /// and empty values are left out. Other fields are ignored. `id` is a string in the form of `ItemID.init(text:)` or an
    /// integer.
    ///
    /// ```swift
    /// let item = try ItemText(json: Array(#"{"id": "7", "title": "Lamp", "categories": ["Home", "Light"]}"#.utf8))
    /// // item.text == "Lamp. Home, Light"
    /// ```
    ///
    /// - Throws: `TextEmbeddingError`: `text_embedding.bad_json` if it is not a JSON object, `text_embedding.bad_id` if the id
    ///   is missing or not an id, `text_embedding.bad_field` if a field is an object or a Boolean.
    package init(json: [UInt8]) throws(TextEmbeddingError) {
        let record = try Self.decode(json)
        switch record.id {
        case .text(let text):
            guard let id = ItemID(text: text) else {
                throw TextEmbeddingError(
                    .badID,
                    "an item's id has \(text.utf8.count) bytes, or is invalid base64: \(text.prefix(60).debugDescription)",
                    remedy: Self.idRemedy)
            }
            self.id = id
        case .integer(let number):
            self.id = ItemID(unchecked: Array(String(number).utf8))
        case nil:
            throw TextEmbeddingError(.badID, "an item has no id", remedy: Self.idRemedy)
        case .other:
            throw TextEmbeddingError(.badID, "an item's id is neither a string nor an integer", remedy: Self.idRemedy)
        }
        var values: [String] = []
        for field in Self.fields {
            guard let value = record.fields[field] else { continue }
            guard let text = value.text else {
                throw TextEmbeddingError(
                    .badField, "field \(field) of item \(id) is not text",
                    remedy: "Make it a string or an array of strings, or leave it out.")
            }
            if !text.isEmpty { values.append(text) }
        }
        text = values.joined(separator: ". ")
    }

    private static let idRemedy = "Give every item an \"id\" of 1 to 511 bytes, as text or as base64:…"

    private static let decodeRemedy = "Write one JSON object per line, in UTF-8."

    private static func decode(_ json: [UInt8]) throws(TextEmbeddingError) -> Record {
        // The decoder checks a string's bytes only when the string is decoded, and would then report the wrong fault.
        guard String(validating: json, as: UTF8.self) != nil else {
            throw TextEmbeddingError(.badJSON, "an item is not UTF-8", remedy: decodeRemedy)
        }
        do {
            return try JSONDecoder().decode(Record.self, from: Data(json))
        } catch {
            throw TextEmbeddingError(
                .badJSON, "an item is not a JSON object", remedy: decodeRemedy, cause: error)
        }
    }
}

/// The values of an item's JSON object that its text needs.
private struct Record: Decodable {
    enum Identity {
        case text(String)
        case integer(Int64)
        case other
    }

    var id: Identity?
    var fields: [String: FieldValue] = [:]

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let idKey = Key(stringValue: "id")
        if container.contains(idKey), try !container.decodeNil(forKey: idKey) {
            if let text = try? container.decode(String.self, forKey: idKey) {
                id = .text(text)
            } else if let number = try? container.decode(Int64.self, forKey: idKey) {
                id = .integer(number)
            } else {
                id = .other
            }
        }
        for field in ItemText.fields {
            let key = Key(stringValue: field)
            if container.contains(key) { fields[field] = try container.decode(FieldValue.self, forKey: key) }
        }
    }
}

/// A field of an item: a string, or a value that is converted to one.
private struct FieldValue: Decodable {
    /// The text without surrounding white space; nil if the value cannot be text, empty for null.
    let text: String?

    init(from decoder: any Decoder) throws {
        if var list = try? decoder.unkeyedContainer() {
            var elements: [String] = []
            while !list.isAtEnd {
                guard let element = try list.decode(FieldValue.self).text else {
                    text = nil
                    return
                }
                if !element.isEmpty { elements.append(element) }
            }
            text = elements.joined(separator: ", ")
            return
        }
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            text = ""
        } else if let string = try? container.decode(String.self) {
            text = Self.trimmed(string)
        } else if let integer = try? container.decode(Int64.self) {
            text = String(integer)
        } else if let number = try? container.decode(Double.self) {
            text = String(number)
        } else {
            text = nil
        }
    }

    private static func trimmed(_ string: String) -> String {
        let scalars = string.unicodeScalars
        guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
            let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
        else { return "" }
        return String(scalars[first...last])
    }
}
