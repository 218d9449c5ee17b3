import Core

/// The built-in embedders, by the name that the option `--embed` takes.
package enum TextEmbedders {
    /// The names of all built-in embedders.
    package static let names = ["hashing"]

    /// The embedder with this name, for embeddings of this width.
    ///
    /// - Throws: `TextEmbeddingError` (`text_embedding.unknown_embedder`, `text_embedding.bad_dimension`).
    package static func make(name: String, dimension: Int) throws(TextEmbeddingError) -> any TextEmbedder {
        switch name {
        case "hashing": return try HashingEmbedder(dimension: dimension)
        default:
            throw TextEmbeddingError(
                .unknownEmbedder, "there is no embedder '\(name)'",
                remedy: "Use one of: \(names.joined(separator: ", ")).")
        }
    }
}
