import Numerics
package import Tokenizer
package import Training

/// Trains a tokenizer: encoder, decoder and codebooks, by AdamW on shuffled batches.
///
/// The same settings, data, machine and kernels give the same bytes, also when the run was killed and resumed. Which
/// epoch is kept: every `evaluationInterval` epochs of the second half, and after the last, the collision rate of natural
/// identifiers is measured; the epoch with the lowest is kept, and among equals the latest. (The first half is left out
/// because a hardly trained tokenizer with codebooks fresh from k-means may have few collisions and yet be a bad one.)
/// With `patience` the run ends when so many measurements in a row were not lower than the lowest before. Where codebooks
/// or decoder are finished at the end (`finalRefitLevel`, `decoderEpochs`), the last epoch is kept.
///
/// Memory: the parameters six times, a batch, 16 bytes an item while the collision rate is measured; of the embeddings no
/// copy. Blocks its thread; not thread-safe.
package final class Trainer {
    private let settings: TrainingSettings
    private let data: TrainingData
    private let embeddingModel: String?

    /// Prepares a run. Reads all embeddings once.
    ///
    /// - Parameters:
    ///   - semantic: semantic embeddings as the catalog has them, (items, D): a `Matrix`, or a `NumPyFile`, which is read
    ///     batch by batch.
    ///   - collaborative: CF embeddings (items, d), or nil for none.
    ///   - collaborativeMask: which items have a CF embedding; empty if all have.
    /// - Throws: `TrainingError` (`tokenizer.bad_settings`, `tokenizer.bad_data`) for settings or data that cannot be
    ///   trained with.
    package init(
        _ settings: TrainingSettings, semantic: any TrainingRows, collaborative: (any TrainingRows)?,
        collaborativeMask: [Bool] = [], embeddingModel: String? = nil
    ) throws {
        try settings.check()
        let items = semantic.rows
        let mask =
            collaborative == nil
            ? [Bool](repeating: false, count: items)
            : collaborativeMask.isEmpty ? [Bool](repeating: true, count: items) : collaborativeMask
        data = TrainingData(
            semantic: semantic, collaborative: collaborative, mask: mask,
            scaling: settings.scaling ?? .unitVariance(width: max(1, semantic.columns)),
            collaborativeScaling: settings.collaborativeScaling ?? .none)
        try data.check(settings)
        self.settings = settings
        self.embeddingModel = embeddingModel
    }

    /// Runs all epochs and returns the model of the epoch that is kept.
    ///
    /// - Parameters:
    ///   - checkpoints: where to save the state of the run; nil for nowhere.
    ///   - progress: called after every epoch; what it throws ends the run.
    ///   - stop: called before every batch; if it returns true, the run is saved and ends.
    /// - Throws: what `progress` throws; `TrainingError`: `tokenizer.stopped` when `stop` returned true,
    ///   `tokenizer.diverged` if a loss is no longer finite, `tokenizer.checkpoint_mismatch` and
    ///   `tokenizer.bad_checkpoint` if the checkpoint is not one of this run; `FilesError` where a checkpoint cannot be
    ///   read or written.
    package func train(
        checkpoints: CheckpointFile? = nil, progress: (TrainingProgress) throws -> Void = { _ in },
        stop: () -> Bool = { false }
    ) throws -> TokenizerModel {
        var random = Random(seed: settings.seed)
        let task = TokenizerTask(settings, data, random: &random)
        let kept = try TrainingLoop(task, plan: settings.plan, random: random).run(
            checkpoints: checkpoints,
            progress: { report in
                try progress(TrainingProgress(report, of: settings.epochs, stage: task.stage.name))
            }, stop: stop)
        let figures = TrainingFigures(
            items: data.items, collaborativeItems: data.mask.count { $0 }, epoch: kept.epoch, epochs: kept.epochs,
            collisionRate: kept.measurement.collisionRate, losses: kept.losses, codesUsed: kept.measurement.codesUsed,
            quantisationError: kept.measurement.quantisationError)
        return try task.network.model(
            scaling: data.scaling,
            provenance: ModelProvenance(
                embeddingModel: embeddingModel, createdBy: "letter, kernels \(BLASKernels.name)", seed: settings.seed,
                settings: settings.json(), figures: figures))
    }
}
