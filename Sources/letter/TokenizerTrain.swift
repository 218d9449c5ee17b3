internal import ArgumentParser
internal import Files
internal import Numerics
internal import Tokenizer
internal import Vocabulary

struct TokenizerTrain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train a tokenizer on a catalog or on a file of embeddings.",
        discussion: """
            The model appears under its name when it is finished, or not at all. The same data, settings and machine \
            give the same model.
            """)

    @Option(help: "Catalog to train on.")
    var catalog: String?

    @Option(help: "File of semantic embeddings to train on instead (.npy, one row an item).")
    var embeddings: String?

    @Option(help: "With --embeddings: file of CF embeddings (.npy, same rows; NaN for an item that has none).")
    var cf: String?

    @Option(help: "Directory of the model to make.")
    var output: String

    @Option(help: "What made the embeddings; recorded, never interpreted.")
    var embeddingModel: String?

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
        let data = try read()
        let settings = choices.settings
        let trainer = try Trainer(
            settings, semantic: data.semantic, collaborative: data.collaborative, collaborativeMask: data.mask,
            embeddingModel: embeddingModel)
        let bar = ProgressBar(label: "training", total: settings.epochs, unit: "epochs")
        defer { bar.finish() }
        let model = try trainer.train { progress in
            let rate = progress.collisionRate.map { ", \(Self.percent($0)) collide" } ?? ""
            bar.update(progress.epoch, note: "loss \(Self.short(Double(progress.losses.total)))\(rate)")
        }
        bar.finish()
        try ModelDirectory.write(model, to: output)
        if let figures = model.provenance.figures {
            Terminal.error(
                "\(output): epoch \(figures.epoch) of \(figures.epochs), \(Self.percent(figures.collisionRate)) of "
                    + "\(figures.items) items collide, codes used \(figures.codesUsed)\n")
        }
    }

    private func read() throws -> (semantic: Matrix, collaborative: Matrix?, mask: [Bool]) {
        if let catalog {
            let data = try readCatalogMatrix(directory: catalog)
            return (data.semantic, data.collaborative, data.mask)
        }
        let semantic = try Self.matrix(embeddings ?? "")
        guard let cf else { return (semantic, nil, []) }
        let collaborative = try Self.matrix(cf)
        let mask = (0..<collaborative.rows).map { collaborative.row($0).allSatisfy(\.isFinite) }
        return (semantic, collaborative, mask)
    }

    private static func matrix(_ path: String) throws -> Matrix {
        let file = try NumPyFile(path)
        return Matrix(rows: file.rows, columns: file.columns, try file.floats())
    }

    private static func percent(_ share: Double) -> String { "\(short(100 * share)) %" }

    /// Four significant digits or so.
    private static func short(_ value: Double) -> String {
        let scale = value.magnitude < 1 ? 1e4 : 1e2
        return "\((value * scale).rounded() / scale)"
    }
}

/// Settings of a training run that the command line may change.
struct TrainingOptions: ParsableArguments {
    @Option(help: "Passes over all items.")
    var epochs = TrainingSettings().epochs

    @Option(help: "Seed of everything random.")
    var seed = TrainingSettings().seed

    @Option(
        help: "Widths of the encoder between embedding and latent, such as 512,256,128,64; the decoder mirrors them.")
    var widths = WidthList(TrainingSettings().hiddenWidths)

    @Option(help: "Width of the latent embedding; CF embeddings have it too.")
    var latent = TrainingSettings().latentWidth

    @Option(help: "Levels: codes in an identifier.")
    var levels = TrainingSettings().levels

    @Option(help: "Codes of each level.")
    var codes = TrainingSettings().codesPerLevel

    @Option(help: "Weight of the collaborative loss.")
    var alpha = TrainingSettings().alpha

    @Option(help: "Weight of the diversity loss.")
    var beta = TrainingSettings().beta

    @Option(help: "Items in a batch.")
    var batch = TrainingSettings().batch

    @Option(help: "Step size of AdamW.")
    var learningRate = TrainingSettings().optimizer.learningRate

    @Option(help: "Weight decay of AdamW.")
    var weightDecay = TrainingSettings().optimizer.weightDecay

    @Option(help: "Threads of matrix products; another number may change the last bits.")
    var threads = TrainingSettings().threads

    @Flag(help: "Train on embeddings as they are, instead of at unit length times the root of their width.")
    var noScaling = false

    /// The settings they amount to.
    var settings: TrainingSettings {
        var settings = TrainingSettings()
        settings.epochs = epochs
        settings.seed = seed
        settings.hiddenWidths = widths.values
        settings.latentWidth = latent
        settings.levels = levels
        settings.codesPerLevel = codes
        settings.alpha = alpha
        settings.beta = beta
        settings.batch = batch
        settings.optimizer.learningRate = learningRate
        settings.optimizer.weightDecay = weightDecay
        settings.threads = threads
        settings.scaling = noScaling ? InputScaling.none : nil
        return settings
    }
}

/// Positive numbers with commas between them.
struct WidthList: ExpressibleByArgument {
    let values: [Int]

    init(_ values: [Int]) { self.values = values }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { Int($0) }.filter { $0 > 0 }
        guard values.count == parts.count else { return nil }
    }

    var defaultValueDescription: String { values.map(String.init).joined(separator: ",") }
}
