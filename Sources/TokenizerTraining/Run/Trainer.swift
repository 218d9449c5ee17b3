package import Tokenizer
import Files
import Numerics
import Core

/// Trains a tokenizer: encoder, decoder and codebooks, by AdamW on shuffled batches.
///
/// The same settings, data, machine and kernels give the same bytes, also when the run was killed and resumed. Which
/// epoch is kept: every `evaluationInterval` epochs of the second half, and after the last, the collision rate of natural
/// identifiers is measured; the epoch with the lowest is kept, and among equals the latest. (The first half is left out
/// because a hardly trained tokenizer on codebooks fresh from k-means may collide little and yet say little.) With
/// `patience` the run ends when so many measurements in a row were not lower than the lowest before. Where codebooks or
/// decoder are finished at the end (`finalRefitLevel`, `decoderEpochs`), the last epoch is kept.
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
    /// - Throws: `TokenizerFailure` (`tokenizer.bad_settings`, `tokenizer.bad_data`) for settings or data that cannot be
    ///   trained on.
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
    ///   - checkpoints: where to save how far the run has come; nil for nowhere.
    ///   - progress: called after every epoch; what it throws ends the run.
    ///   - stop: asked before every batch; on true the run is saved and ends.
    /// - Throws: what `progress` throws; `TokenizerFailure` (`tokenizer.stopped`) when it was told to stop,
    ///   (`tokenizer.diverged`) if a loss is no longer finite, (`tokenizer.checkpoint_mismatch`) if the checkpoint is not
    ///   one of this run; `FilesError` where a checkpoint cannot be read or written.
    package func train(
        checkpoints: TrainingCheckpoints? = nil, progress: (TrainingProgress) throws -> Void = { _ in },
        stop: () -> Bool = { false }
    ) throws -> TokenizerModel {
        let start = ContinuousClock.now
        let run = try TrainingRun(settings, data)
        let identity = TrainingCheckpoint.Identity(
            settings: settings, scaling: data.scaling, items: data.items, width: data.semantic.columns,
            digest: checkpoints == nil ? 0 : try data.digest())
        if let checkpoints, checkpoints.resume, FileSystem.exists(checkpoints.path) {
            try run.restore(TrainingCheckpoint(checkpoints.path, of: identity), path: checkpoints.path)
        } else if settings.warmupEpochs == 0 {
            try run.startCodebooks()
        }
        var saved = start
        while !run.isFinished {
            let (epoch, begun) = (run.state.epoch, ContinuousClock.now)
            try run.beginEpoch()
            while run.hasBatches {
                if stop() {
                    if let checkpoints { try run.checkpoint(identity).write(checkpoints.path) }
                    throw Self.stopped(epoch, settings.epochs, checkpoints?.path)
                }
                try run.runBatch()
                if let checkpoints, (ContinuousClock.now - saved) / .seconds(1) >= checkpoints.interval {
                    try run.checkpoint(identity).write(checkpoints.path)
                    saved = .now
                }
            }
            let (losses, rate) = try run.endEpoch()
            try progress(
                TrainingProgress(
                    epoch: epoch, epochs: settings.epochs, stage: settings.stage(epoch: epoch).stage, losses: losses,
                    collisionRate: rate,
                    epochSeconds: (ContinuousClock.now - begun) / .seconds(1),
                    seconds: (ContinuousClock.now - start) / .seconds(1)))
        }
        return try run.result(
            ModelProvenance(
                embeddingModel: embeddingModel, createdBy: "letter, kernels \(BLASKernels.name)", seed: settings.seed,
                settings: settings.json()))
    }

    private static func stopped(_ epoch: Int, _ epochs: Int, _ path: String?) -> TokenizerFailure {
        TokenizerFailure(
            "stopped", .temporary,
            "training was stopped in epoch \(epoch) of \(epochs)"
                + (path.map { "; \($0) has how far it came" } ?? ""),
            remedy: path == nil ? "Train again." : "Run it again with --resume.")
    }
}
