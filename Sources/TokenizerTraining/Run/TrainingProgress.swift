package import Tokenizer
import Training

/// The progress of a training run: an epoch that ended.
package struct TrainingProgress: Sendable, Encodable {
    /// The epoch, counted from 1.
    package var epoch: Int
    /// Epochs to run.
    package var epochs: Int
    /// The stage that it was in.
    package var stage: TrainingStage
    /// Means over the epoch's batches.
    package var losses: Losses
    /// (items − distinct natural identifiers) / items, if it was measured after this epoch.
    package var collisionRate: Double?
    /// Seconds that this epoch took, as far as this process ran it.
    package var epochSeconds: Double
    /// Seconds since this process began the run, the start of the codebooks included.
    package var seconds: Double

    init(_ report: EpochReport<Losses, TokenizerMeasurement>, of epochs: Int, stage: TrainingStage) {
        epoch = report.epoch
        self.epochs = epochs
        self.stage = stage
        losses = report.losses
        collisionRate = report.measurement?.collisionRate
        epochSeconds = report.epochSeconds
        seconds = report.seconds
    }

    enum CodingKeys: String, CodingKey {
        case epoch, epochs, stage, losses
        case collisionRate = "collision_rate"
        case epochSeconds = "epoch_seconds"
        case seconds
    }
}
