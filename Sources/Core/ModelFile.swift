/// The two files of a model directory, which Schema/model.md describes. The raw value is the file's name.
package enum ModelFile: String, Codable, Sendable, CaseIterable {
    /// What the model is and where it comes from, in JSON.
    case manifest = "manifest.json"
    /// The tensors.
    case weights = "tokenizer.safetensors"

    /// The largest size in bytes that Letter reads from disk and accepts as an upload.
    ///
    /// One number for both: a model that can be trained and inspected can also be published.
    package var limit: Int {
        switch self {
        case .manifest: 1 << 20
        case .weights: 4 << 30
        }
    }
}
