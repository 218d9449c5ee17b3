package import Core

/// Why a text has no embedding, or a JSON item no text.
package typealias TextEmbeddingError = ReasonedFailure<TextEmbeddingReason>

/// Reasons, as `text_embedding.…` codes.
package enum TextEmbeddingReason: String, FailureReason {
    /// The text has no letter and no digit.
    case noText = "no_text"
    /// The width asked for is out of range.
    case badDimension = "bad_dimension"
    /// No embedder has that name.
    case unknownEmbedder = "unknown_embedder"
    /// The item is not a JSON object.
    case badJSON = "bad_json"
    /// The item's `id` is missing, empty, longer than 511 bytes or not text.
    case badID = "bad_id"
    /// A field that should be text is something else.
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
    /// The text has no letter and no digit, so there is nothing to embed.
    package static var noText: TextEmbeddingError {
        TextEmbeddingError(
            .noText, "the text has no letter and no digit, so it has no embedding",
            remedy: "Give the item a title, brand, category or description, or give it an embedding of its own.")
    }
}
