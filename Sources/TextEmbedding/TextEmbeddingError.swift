package import Core

/// Why a text cannot be embedded, or why an item's JSON has no text.
package typealias TextEmbeddingError = ReasonedFailure<TextEmbeddingReason>

/// Reasons, as `text_embedding.…` codes.
package enum TextEmbeddingReason: String, FailureReason {
    /// The text has no letter and no digit.
    case noText = "no_text"
    /// The requested width is out of range.
    case badDimension = "bad_dimension"
    /// No embedder has that name.
    case unknownEmbedder = "unknown_embedder"
    /// The item is not a JSON object.
    case badJSON = "bad_json"
    /// The item's `id` is missing, empty, longer than 511 bytes, or neither a string nor an integer.
    case badID = "bad_id"
    /// A field of the text is an object or a Boolean.
    case badField = "bad_field"

    package static let module = "text_embedding"

    package var kind: FailureKind {
        switch self {
        case .unknownEmbedder, .badDimension: .usage
        case .noText, .badJSON, .badID, .badField: .invalid
        }
    }
}

extension TextEmbeddingError {
    /// The failure for a text without letters and digits.
    package static var noText: TextEmbeddingError {
        TextEmbeddingError(
            .noText, "the text has no letters and no digits, so it cannot be embedded",
            remedy: "Give the item a title, brand, category or description, or provide its embedding.")
    }
}
