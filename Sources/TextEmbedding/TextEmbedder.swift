/// Turns a text into a vector of fixed width: the semantic embedding of an item that comes without one.
///
/// An embedder is a pure function: the same text gives the same bits on every machine, in every run and whatever was
/// embedded before it. The daemon's promise that an unchanged item keeps its identifier rests on that.
///
/// ```swift
/// let embedder = try HashingEmbedder(dimension: 384)
/// let vector = try embedder.embed("nginx: small, powerful, scalable web server")
/// ```
package protocol TextEmbedder: Sendable {
    /// Provenance, recorded with the vectors: the method and its version, such as `hashing/1`.
    ///
    /// It changes whenever the same text would give another vector.
    var name: String { get }

    /// Width of every vector.
    var dimension: Int { get }

    /// Writes the embedding of a text into `vector`, which is resized to `dimension`; its storage is reused.
    ///
    /// On an error the vector's contents are unspecified.
    ///
    /// - Throws: `TextEmbeddingError.noText` if there is nothing in the text to embed.
    func embed(_ text: String, into vector: inout [Float]) throws(TextEmbeddingError)
}

extension TextEmbedder {
    /// The embedding of a text, in a new array.
    ///
    /// - Throws: `TextEmbeddingError.noText` if there is nothing in the text to embed.
    package func embed(_ text: String) throws(TextEmbeddingError) -> [Float] {
        var vector: [Float] = []
        try embed(text, into: &vector)
        return vector
    }
}
