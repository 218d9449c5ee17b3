import Numerics
import Training

/// A stage of a tokenizer's training: its losses, the parameters that they move, and the learning rate.
///
/// A stage is made when its first epoch begins, or when a run resumes within it. Its epochs are counted from 1.
protocol TokenizerStage: AnyObject {
    /// The name by which progress reports the stage.
    var name: TrainingStage { get }
    /// Items in a batch.
    var batchSize: Int { get }
    /// The learning rate over the epochs of the stage.
    var learningRate: LinearDecay { get }
    /// AdamW on the parameters that the stage moves; its moments start at zero.
    var optimizer: AdamWOptimizer { get }

    /// Computes the losses of a batch, and the parameters' gradients (cleared first).
    ///
    /// - Parameter epoch: the epoch of the stage.
    func backward(_ batch: TrainingBatch, epoch: Int, random: inout Random) -> BatchOutcome

    /// Prepares the stage's first epoch.
    func begin(_ data: TrainingData, random: inout Random) throws

    /// Prepares an epoch, the first one after `begin`.
    func beginEpoch(_ epoch: Int, _ data: TrainingData, random: inout Random) throws

    /// Finishes the stage after its last epoch.
    func end(_ data: TrainingData, random: inout Random) throws

    /// Adds to a checkpoint what the stage needs to continue within an epoch, in addition to parameters and optimizer.
    func save(to checkpoint: inout Checkpoint)

    /// Continues within an epoch.
    ///
    /// - Throws: `CheckpointProblem` if the checkpoint lacks something or has something that cannot be.
    func restore(from checkpoint: Checkpoint) throws
}

extension TokenizerStage {
    func begin(_ data: TrainingData, random: inout Random) throws {}
    func beginEpoch(_ epoch: Int, _ data: TrainingData, random: inout Random) throws {}
    func end(_ data: TrainingData, random: inout Random) throws {}
    func save(to checkpoint: inout Checkpoint) {}
    func restore(from checkpoint: Checkpoint) throws {}
}

/// Share of the learning rate that is left in the last epoch of the stages before and after the quantised one.
let outerFinalLearningRate = 0.02
