package import Vocabulary

/// Why a text has no embedding, or a JSON item no text.
package struct TextEmbeddingError: Failure {
    /// The reasons there are.
    package enum Reason: String, Sendable {
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
    }

    package let reason: Reason
    package let message: String
    package let remedy: String
    package let cause: (any Error)?

    package var code: String { "text_embedding.\(reason.rawValue)" }

    package var kind: FailureKind {
        switch reason {
        case .unknownEmbedder, .badDimension: .usage
        case .noText, .badJSON, .badID, .badField: .invalid
        }
    }

    init(_ reason: Reason, _ message: String, remedy: String, cause: (any Error)? = nil) {
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.cause = cause
    }

    /// The text has no letter and no digit, so there is nothing to embed.
    package static let noText = TextEmbeddingError(
        .noText, "the text has no letter and no digit, so it has no embedding",
        remedy: "Give the item a title, brand, category or description, or give it an embedding of its own.")
}
