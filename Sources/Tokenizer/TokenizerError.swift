package import Core

/// Why a model cannot be read or used, why embeddings cannot be encoded, or why a training or an evaluation failed.
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

    // MARK: Training and evaluation
    /// Data that cannot be trained on or evaluated.
    case badData = "bad_data"
    /// Settings that cannot be trained with.
    case badSettings = "bad_settings"
    /// The run was stopped; it can be resumed.
    case stopped
    /// The loss is no longer finite.
    case diverged
    /// The checkpoint belongs to a run with other settings or other data.
    case checkpointMismatch = "checkpoint_mismatch"
    /// The checkpoint cannot be read.
    case badCheckpoint = "bad_checkpoint"
    /// The checkpoint of an unfinished run is in the way.
    case checkpointExists = "checkpoint_exists"
    /// Something is at the path of the model to be made.
    case outputExists = "output_exists"
    /// A list of items has a line that is not an id, or none of its items is in the catalog.
    case badItem = "bad_item"
    /// No item has categories in the field named.
    case noCategories = "no_categories"

    package static let module = "tokenizer"

    package var kind: FailureKind {
        switch self {
        case .stopped: .temporary
        case .checkpointMismatch, .checkpointExists, .outputExists: .conflict
        case .badModel, .badManifest, .unknownFormat, .modelMismatch, .wrongWidth, .wrongPrefix, .notFinite, .badData,
            .badSettings, .diverged, .badCheckpoint, .badItem, .noCategories:
            .invalid
        }
    }
}
