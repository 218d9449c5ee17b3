package import Core
import Training

/// What can go wrong with a tokenizer's training.
package typealias TrainingError = ReasonedFailure<TrainingReason>

/// Reasons, as `tokenizer.…` codes.
package enum TrainingReason: String, TrainingFailureReason {
    case badSettings = "bad_settings"
    case badData = "bad_data"
    case stopped, diverged
    case badCheckpoint = "bad_checkpoint"
    case checkpointMismatch = "checkpoint_mismatch"
    /// The checkpoint of an unfinished run would be lost.
    case checkpointExists = "checkpoint_exists"
    /// Something is at the path of the model to be made.
    case outputExists = "output_exists"

    package static let module = "tokenizer"

    package var kind: FailureKind {
        switch self {
        case .badSettings, .badData, .diverged, .badCheckpoint: .invalid
        case .stopped: .temporary
        case .checkpointMismatch, .checkpointExists, .outputExists: .conflict
        }
    }
}
