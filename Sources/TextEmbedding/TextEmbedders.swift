import Core

/// The embedders that are built in, by the name that `--embed` takes.
package enum TextEmbedders {
    /// Names that `make` knows.
    package static let names = ["hashing"]

    /// The embedder of that name and width.
    ///
    /// - Throws: `TextEmbeddingError` if there is none of that name, or it cannot have that width.
    package static func make(name: String, dimension: Int) throws(TextEmbeddingError) -> any TextEmbedder {
        switch name {
        case "hashing": return try HashingEmbedder(dimension: dimension)
        default:
            throw TextEmbeddingError(
                .unknownEmbedder, "no embedder is called \(name)",
                remedy: "Use one of: \(names.joined(separator: ", ")).")
        }
    }
}
