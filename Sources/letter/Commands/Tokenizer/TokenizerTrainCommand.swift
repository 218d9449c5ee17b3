import ArgumentParser
import Core
import Datasets
import Files
import KernelSelection
import Tokenizer
import TokenizerTraining

/// `letter tokenizer train`: trains a tokenizer.
struct TokenizerTrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train a tokenizer on a catalog or on a file of embeddings.",
        discussion: """
            The model directory appears when the model is finished, or not at all. The same data, settings and machine \
            give the same model, also after --resume. On SIGTERM and SIGINT the run saves its progress and exits with 75. \
            Of the epochs measured in the second half of the run, the one with the lowest collision rate is kept; if the \
            run ends with a final refit or decoder epochs (the default), the last epoch is.
            """)

    @Option(help: ArgumentHelp("Catalog to train on.", valueName: "dir"))
    var catalog: String?

    @Option(
        help: ArgumentHelp(
            "File of semantic embeddings to train on instead (.npy), one row per item.", valueName: "file"))
    var embeddings: String?

    @Option(
        help: ArgumentHelp(
            "With --embeddings: file of CF embeddings (.npy) with the same rows; NaN for an item that has none.",
            valueName: "file"))
    var cf: String?

    @Option(help: ArgumentHelp("Directory to write the model to; must not exist.", valueName: "dir"))
    var output: String

    @Flag(help: "Resume from the checkpoint if there is one; the result is byte-identical to an uninterrupted run.")
    var resume = false

    @Option(
        help: ArgumentHelp(
            "Checkpoint file (default: OUTPUT.checkpoint); removed when the run is finished.", valueName: "file"))
    var checkpoint: String?

    @Option(help: ArgumentHelp("Seconds between two checkpoints.", valueName: "seconds"))
    var checkpointInterval = 60.0

    @Option(
        help: ArgumentHelp(
            "Name of the model that produced the embeddings; recorded, not interpreted.", valueName: "name"))
    var embeddingModel: String?

    @Flag(help: "Print progress as JSON lines on standard output, one per epoch.")
    var json = false

    @OptionGroup var choices: TrainingOptions

    func validate() throws {
        guard (catalog == nil) != (embeddings == nil) else {
            throw ValidationError("Give either --catalog or --embeddings.")
        }
        guard cf == nil || embeddings != nil else {
            throw ValidationError("--cf needs --embeddings; a catalog has its own CF embeddings.")
        }
    }

    func run() throws {
        let request = TrainingRequest(
            settings: choices.settings, output: output, checkpoint: checkpoint, checkpointInterval: checkpointInterval,
            resume: resume, embeddingModel: embeddingModel)
        try request.check()
        let kernels = KernelSelection.report
        Terminal.error("\(kernels.line)\n")
        StopSignal.listen()
        let bar = ProgressBar(label: "training", total: request.settings.epochs, unit: "epochs")
        defer { bar.finish() }
        let model = try request.run(
            reading: read,
            progress: { progress in
                bar.begin(at: progress.epoch - 1)
                try Output.show(ProgressLine(progress, kernels), asJSON: json) {}
                let rate = progress.collisionRate.map { ", \(Self.percent($0)) collide" } ?? ""
                bar.update(progress.epoch, note: "\(Self.describe(progress.losses))\(rate)")
            },
            stop: { StopSignal.isAsked })
        bar.finish()
        if let figures = model.provenance.figures {
            Terminal.error(
                "\(output): epoch \(figures.epoch) of \(figures.epochs), \(Self.percent(figures.collisionRate)) of "
                    + "\(figures.items) items collide, codes used \(figures.codesUsed)\n")
        }
    }

    private func read() throws -> TrainingInput {
        if let catalog {
            let data = try CatalogMatrix(catalog: catalog)
            return TrainingInput(semantic: data.semantic, collaborative: data.collaborative, mask: data.mask)
        }
        // Files are read batch by batch during the training.
        let semantic = try NumPyFile(embeddings ?? "")
        guard let cf else { return TrainingInput(semantic: semantic) }
        let collaborative = try NumPyFile(cf)
        let mask = try (0..<collaborative.rows).map { try collaborative.floats($0..<($0 + 1)).allSatisfy(\.isFinite) }
        return TrainingInput(semantic: semantic, collaborative: collaborative, mask: mask)
    }

    private static func describe(_ losses: Losses) -> String {
        "loss \(short(Double(losses.total))) (reconstruction \(short(Double(losses.reconstruction))), collaborative "
            + "\(short(Double(losses.collaborative))))"
    }

    private static func percent(_ share: Double) -> String { "\(short(100 * share)) %" }

    /// About four significant digits.
    private static func short(_ value: Double) -> String {
        let scale = value.magnitude < 1 ? 1e4 : 1e2
        return "\((value * scale).rounded() / scale)"
    }
}

/// A line of `--json`: the progress, and the kernels in use.
private struct ProgressLine: Encodable {
    private let progress: TrainingProgress
    private let kernels: KernelReport

    init(_ progress: TrainingProgress, _ kernels: KernelReport) {
        (self.progress, self.kernels) = (progress, kernels)
    }

    private enum CodingKeys: String, CodingKey {
        case kernels
        case bestKernels = "best_kernels"
    }

    func encode(to encoder: any Encoder) throws {
        try progress.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(kernels.inUse, forKey: .kernels)
        try container.encode(kernels.best, forKey: .bestKernels)
    }
}
