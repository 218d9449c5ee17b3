import Core
import Files
package import Tokenizer
package import Training

/// A training run from its start to the finished model directory, as `letter tokenizer train` makes it.
///
/// ```swift
/// let request = TrainingRequest(settings: settings, output: "model", resume: true)
/// try request.check()
/// try request.run(reading: { TrainingInput(semantic: embeddings) })
/// ```
package struct TrainingRequest {
    package var settings: TrainingSettings
    /// Directory of the model; must not exist yet.
    package var output: String
    /// Where the progress of the run is saved. The file is removed once the model is written.
    package var checkpoints: CheckpointFile
    /// Name of the model that produced the embeddings; recorded, not interpreted.
    package var embeddingModel: String?

    /// - Parameter checkpoint: the checkpoint's file; nil for `OUTPUT.checkpoint`.
    package init(
        settings: TrainingSettings, output: String, checkpoint: String? = nil, checkpointInterval: Double = 60,
        resume: Bool = false, embeddingModel: String? = nil
    ) {
        self.settings = settings
        self.output = output
        checkpoints = CheckpointFile(
            path: checkpoint ?? Self.checkpointPath(output), interval: checkpointInterval, resume: resume)
        self.embeddingModel = embeddingModel
    }

    /// Checks what would otherwise fail only after hours of training.
    ///
    /// - Throws: `tokenizer.output_exists`; `tokenizer.checkpoint_exists` if the checkpoint of another run would be lost.
    package func check() throws {
        guard !FileSystem.exists(output) else {
            throw TrainingError(
                .outputExists, "\(output) exists already.",
                remedy: "Choose another --output, or remove what is there.")
        }
        guard checkpoints.resume || !FileSystem.exists(checkpoints.path) else {
            throw TrainingError(
                .checkpointExists, "\(checkpoints.path) is the checkpoint of an unfinished run.",
                remedy: "Continue that run with --resume, or remove the file.")
        }
    }

    /// Trains, writes the model, and removes the checkpoint. Blocks its thread.
    ///
    /// - Parameters:
    ///   - reading: reads the embeddings; called once, after leftovers of a killed run were removed.
    ///   - progress: called after every epoch; what it throws ends the run.
    ///   - stop: asked before every batch; on true the run is saved and ends.
    /// - Returns: the model, as written.
    /// - Throws: what `reading`, `Trainer` and `ModelDirectory.write` throw.
    @discardableResult
    package func run(
        reading: () throws -> TrainingInput, progress: (TrainingProgress) throws -> Void = { _ in },
        stop: () -> Bool = { false }
    ) throws -> TokenizerModel {
        // A run that was killed while it saved its progress or published its model leaves temporary files.
        try FileSystem.removeLeftovers(of: checkpoints.path)
        try FileSystem.removeLeftovers(of: output)
        let input = try reading()
        let trainer = try Trainer(
            settings, semantic: input.semantic, collaborative: input.collaborative, collaborativeMask: input.mask,
            embeddingModel: embeddingModel)
        let model = try trainer.train(checkpoints: checkpoints, progress: progress, stop: stop)
        try ModelDirectory.write(model, to: output)
        try FileSystem.removeTree(checkpoints.path)
        return model
    }

    /// A file next to the model, whether or not the model's path ends with a slash.
    private static func checkpointPath(_ output: String) -> String {
        var trimmed = Substring(output)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        return "\(trimmed).checkpoint"
    }
}

/// The embeddings to train on.
package struct TrainingInput {
    /// Semantic embeddings (items, dimension).
    package var semantic: any TrainingRows
    /// Collaborative embeddings (items, width); nil for none.
    package var collaborative: (any TrainingRows)?
    /// Which items have a collaborative embedding; empty if all have one.
    package var mask: [Bool]

    package init(semantic: any TrainingRows, collaborative: (any TrainingRows)? = nil, mask: [Bool] = []) {
        self.semantic = semantic
        self.collaborative = collaborative
        self.mask = mask
    }
}
