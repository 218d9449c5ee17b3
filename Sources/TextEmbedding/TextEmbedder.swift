/// Makes the semantic embedding of an item that comes without one: turns a text into a vector of fixed width.
///
/// An embedder is a pure function: a text always gives the same bits, on every machine, in every run, and whatever was
/// embedded before. The promise that an unchanged item keeps its identifier depends on this.
///
/// ```swift
/// let embedder = try HashingEmbedder(dimension: 384)
/// let vector = try embedder.embed("nginx: small, powerful, scalable web server")
/// ```
package protocol TextEmbedder: Sendable {
    /// The method and its version, such as `hashing/1`; recorded with the embeddings.
    ///
    /// It changes whenever a text would get other bits.
    var name: String { get }

    /// The width of every embedding.
    var dimension: Int { get }

    /// Writes the embedding of a text into `vector`, which is resized to `dimension` and keeps its storage.
    ///
    /// After an error its elements are unspecified.
    ///
    /// - Throws: `TextEmbeddingError` (`text_embedding.no_text`) if the text has nothing that can be embedded.
    func embed(_ text: String, into vector: inout [Float]) throws(TextEmbeddingError)
}

extension TextEmbedder {
    /// The embedding of a text, in a new array.
    ///
    /// - Throws: `TextEmbeddingError` (`text_embedding.no_text`) if the text has nothing that can be embedded.
    package func embed(_ text: String) throws(TextEmbeddingError) -> [Float] {
        var vector: [Float] = []
        try embed(text, into: &vector)
        return vector
    }
}
