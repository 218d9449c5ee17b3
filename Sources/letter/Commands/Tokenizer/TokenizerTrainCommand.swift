import ArgumentParser
import Files
import Numerics
import Tokenizer
import TokenizerTraining
import Training
import Core
import Datasets

struct TokenizerTrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train a tokenizer on a catalog or on a file of embeddings.",
        discussion: """
            The model appears under its name when it is finished, or not at all. The same data, settings and machine \
            give the same model, also after --resume. On SIGTERM and SIGINT the run saves how far it has come and ends \
            with status 75. What is kept is the epoch, measured in the second half, with the lowest collision rate.
            """)

    @Option(help: "Catalog to train on.")
    var catalog: String?

    @Option(help: "File of semantic embeddings to train on instead (.npy, one row an item).")
    var embeddings: String?

    @Option(help: "With --embeddings: file of CF embeddings (.npy, same rows; NaN for an item that has none).")
    var cf: String?

    @Option(help: "Directory of the model to make.")
    var output: String

    @Flag(help: "Go on from the checkpoint, if there is one: to the same model as if nothing had ended the run.")
    var resume = false

    @Option(help: "File to save how far the run has come; OUTPUT.checkpoint if not given. Removed when it is finished.")
    var checkpoint: String?

    @Option(help: "Seconds between two savings.")
    var checkpointInterval = 60.0

    @Option(help: "What made the embeddings; recorded, never interpreted.")
    var embeddingModel: String?

    @Flag(help: "Print progress as JSON, one line an epoch, on standard output.")
    var json = false

    @OptionGroup var choices: TrainingOptions

    func validate() throws {
        guard (catalog == nil) != (embeddings == nil) else {
            throw ValidationError("Give one of --catalog and --embeddings.")
        }
        guard cf == nil || embeddings != nil else {
            throw ValidationError("--cf goes with --embeddings; a catalog has its own.")
        }
    }

    func run() throws {
        // Before the long work, not after it.
        guard !FileSystem.exists(output) else {
            throw CommandFailure(
                "tokenizer.output_exists", .conflict, "\(output) exists already.",
                remedy: "Choose another --output, or remove what is there.")
        }
        let checkpoints = CheckpointFile(
            path: checkpoint ?? Self.checkpointPath(output), interval: checkpointInterval, resume: resume)
        guard resume || !FileSystem.exists(checkpoints.path) else {
            throw CommandFailure(
                "tokenizer.checkpoint_exists", .conflict, "\(checkpoints.path) has an unfinished run.",
                remedy: "Go on with --resume, or remove the file.")
        }
        StopSignal.listen()
        // Of a run that was killed while it saved its state, or while it put the model in place.
        try FileSystem.removeLeftovers(of: checkpoints.path)
        try FileSystem.removeLeftovers(of: output)
        let data = try read()
        let settings = choices.settings
        let trainer = try Trainer(
            settings, semantic: data.semantic, collaborative: data.collaborative, collaborativeMask: data.mask,
            embeddingModel: embeddingModel)
        let bar = ProgressBar(label: "training", total: settings.epochs, unit: "epochs")
        defer { bar.finish() }
        let model = try trainer.train(
            checkpoints: checkpoints,
            progress: { progress in
                bar.begin(at: progress.epoch - 1)
                try Output.show(progress, asJSON: json) {}
                let rate = progress.collisionRate.map { ", \(Self.percent($0)) collide" } ?? ""
                bar.update(progress.epoch, note: "\(Self.describe(progress.losses))\(rate)")
            },
            stop: { StopSignal.isAsked })
        bar.finish()
        try ModelDirectory.write(model, to: output)
        try FileSystem.removeTree(checkpoints.path)
        if let figures = model.provenance.figures {
            Terminal.error(
                "\(output): epoch \(figures.epoch) of \(figures.epochs), \(Self.percent(figures.collisionRate)) of "
                    + "\(figures.items) items collide, codes used \(figures.codesUsed)\n")
        }
    }

    private func read() throws -> (semantic: any TrainingRows, collaborative: (any TrainingRows)?, mask: [Bool]) {
        if let catalog {
            let data = try CatalogMatrix(catalog: catalog)
            return (data.semantic, data.collaborative, data.mask)
        }
        // Files are read batch by batch, where they stand.
        let semantic = try NumPyFile(embeddings ?? "")
        guard let cf else { return (semantic, nil, []) }
        let collaborative = try NumPyFile(cf)
        let mask = try (0..<collaborative.rows).map { try collaborative.floats($0..<($0 + 1)).allSatisfy(\.isFinite) }
        return (semantic, collaborative, mask)
    }

    /// Beside the model, whether or not its path ends with a slash.
    private static func checkpointPath(_ output: String) -> String {
        var trimmed = Substring(output)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        return "\(trimmed).checkpoint"
    }

    private static func describe(_ losses: Losses) -> String {
        "loss \(short(Double(losses.total))) (reconstruction \(short(Double(losses.reconstruction))), collaborative "
            + "\(short(Double(losses.collaborative))))"
    }

    private static func percent(_ share: Double) -> String { "\(short(100 * share)) %" }

    /// Four significant digits or so.
    private static func short(_ value: Double) -> String {
        let scale = value.magnitude < 1 ? 1e4 : 1e2
        return "\((value * scale).rounded() / scale)"
    }
}
