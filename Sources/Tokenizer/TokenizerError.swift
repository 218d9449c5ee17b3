package import Core

/// Why a model cannot be read or used, why embeddings cannot be encoded, or why an evaluation failed.
package typealias TokenizerError = ReasonedFailure<TokenizerReason>

/// Reasons, as `tokenizer.…` codes.
package enum TokenizerReason: String, FailureReason {
    // MARK: Models
    /// Layers and codebooks do not fit together, or hold values that are not finite.
    case badModel = "bad_model"
    /// `manifest.json` cannot be read.
    case badManifest = "bad_manifest"
    /// Another version of the program wrote the manifest.
    case unknownFormat = "unknown_format"
    /// The weights are not those that the manifest describes.
    case modelMismatch = "model_mismatch"

    // MARK: Embeddings and codes
    /// Embeddings, latents or codes of another width than the model's.
    case wrongWidth = "wrong_width"
    /// A prefix that no item of this model can have.
    case wrongPrefix = "wrong_prefix"
    /// An embedding is not finite, or too large.
    case notFinite = "not_finite"

    // MARK: Evaluation
    /// Data that cannot be evaluated.
    case badData = "bad_data"

    package static let module = "tokenizer"

    package var kind: FailureKind {
        .invalid
    }
}
