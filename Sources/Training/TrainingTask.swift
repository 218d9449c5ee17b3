package import Autodiff
package import Core
package import Numerics

/// What a `TrainingLoop` trains: a model with its data.
///
/// The loop knows epochs, batches, the order of the examples, what is measured and kept, and checkpoints. The task knows
/// losses, parameters and optimizers. Everything random comes from the loop's generator, which is saved in
/// checkpoints, so that a resumed run draws what an uninterrupted one would.
///
/// A run calls, for every epoch: `beginEpoch`, `train` for each batch, `endEpoch`, and `measure` where the plan has it.
package protocol TrainingTask: AnyObject {
    /// The reasons for which a run fails; the codes of its failures begin with their module.
    associatedtype Reason: TrainingFailureReason
    /// What must be equal for a run to resume from a checkpoint.
    associatedtype Identity: RunIdentity
    /// The loss terms of a batch.
    associatedtype Losses: LossTerms
    /// What is measured of a model to choose among epochs.
    associatedtype Measurement: TrainingMeasurement

    /// All parameters of the model: those that are kept and saved.
    var parameters: [Parameter] { get }
    /// Examples to train on.
    var examples: Int { get }

    /// Examples in a batch of the current epoch; the last batch may have fewer.
    var batchSize: Int { get }

    /// What identifies the run; computed only where there are checkpoints, because it may read all data.
    func identity() throws -> Identity

    /// Prepares an epoch, counted from 1, before its examples are shuffled. Not called for an epoch that is resumed.
    func beginEpoch(_ epoch: Int, random: inout Random) throws

    /// Computes the losses of a batch and changes the parameters by their gradients.
    ///
    /// - Parameter examples: numbers of examples, from 0.
    func train(_ examples: ArraySlice<Int>, random: inout Random) throws -> Losses

    /// Finishes an epoch, before anything is measured.
    func endEpoch(_ epoch: Int, random: inout Random) throws

    /// Measures the model.
    func measure() throws -> Measurement

    /// Adds to a checkpoint what the task needs to continue within an epoch, in addition to the parameters.
    func save(to checkpoint: inout Checkpoint) throws

    /// Continues within an epoch that was begun before the checkpoint. The parameters have their values already.
    ///
    /// - Throws: `CheckpointProblem` if the checkpoint lacks something or has something that cannot be.
    func restore(from checkpoint: Checkpoint, epoch: Int) throws
}

/// The reasons for which a training loop itself ends a run. A module that trains has them among its own.
package protocol TrainingFailureReason: FailureReason {
    /// The run was asked to stop.
    static var stopped: Self { get }
    /// A loss is no longer finite.
    static var diverged: Self { get }
    /// A file is not a checkpoint that this program can read.
    static var badCheckpoint: Self { get }
    /// A checkpoint is of another run.
    static var checkpointMismatch: Self { get }
}

/// What must be equal for a run to resume from a checkpoint: settings and data.
package protocol RunIdentity: Codable, Equatable {
    /// What differs, for the message of the failure, such as "settings".
    func difference(from other: Self) -> String
}

/// What is measured of a model to choose among epochs.
package protocol TrainingMeasurement: Codable, Sendable {
    /// What the epochs are compared by; the lowest is best.
    var score: Double { get }
}

/// How long a training run is, and which epoch's model it keeps.
///
/// The model is measured every `interval` epochs from `firstMeasured` on, and always after the last epoch. The epoch with
/// the lowest score is kept; among equals, the latest.
package struct TrainingPlan: Sendable {
    /// Epochs: passes over all examples.
    package var epochs: Int
    /// The first epoch, counted from 1, after which the model may be measured.
    package var firstMeasured: Int
    /// Epochs between two measurements: those whose number it divides.
    package var interval: Int
    /// Measurements in a row that are not lower than the lowest before, after which the run ends early; 0 runs all
    /// epochs.
    package var patience: Int
    /// Threads that matrix products and elementwise loops may use.
    package var threads: Int

    package init(epochs: Int, firstMeasured: Int = 1, interval: Int = 1, patience: Int = 0, threads: Int = 1) {
        self.epochs = epochs
        self.firstMeasured = firstMeasured
        self.interval = interval
        self.patience = patience
        self.threads = threads
    }

    /// Whether the model is measured after an epoch.
    package func isMeasured(_ epoch: Int) -> Bool {
        epoch == epochs || (epoch >= firstMeasured && epoch % interval == 0)
    }
}

/// An epoch that ended.
package struct EpochReport<Losses: Sendable, Measurement: Sendable>: Sendable {
    /// The epoch, counted from 1.
    package var epoch: Int
    /// Means of its batches' losses, weighted by their sizes.
    package var losses: Losses
    /// What was measured after it, if anything was.
    package var measurement: Measurement?
    /// Seconds that the epoch took, as far as this process ran it.
    package var epochSeconds: Double
    /// Seconds since this process began the run.
    package var seconds: Double
}

/// The epoch whose model a run kept.
package struct KeptEpoch<Losses: Sendable, Measurement: Sendable>: Sendable {
    /// The epoch, counted from 1.
    package var epoch: Int
    /// Epochs that were run.
    package var epochs: Int
    /// Means of its batches' losses.
    package var losses: Losses
    /// What was measured after it.
    package var measurement: Measurement
}
