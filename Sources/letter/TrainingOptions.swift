internal import ArgumentParser
internal import Numerics
internal import Tokenizer

extension GradientFlow: ExpressibleByArgument {
    init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }

    var defaultValueDescription: String { rawValue.replacing("_", with: "-") }

    static var allValueStrings: [String] { allCases.map(\.defaultValueDescription) }
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

    @Option(help: "Epochs in which alpha rises from 0 to its value.")
    var alphaWarmup = TrainingSettings().alphaWarmup

    @Option(help: "Epochs in which beta rises from 0 to its value.")
    var betaWarmup = TrainingSettings().betaWarmup

    @Option(help: "Which gradients reach the codebooks: as-published, or as-paper-reads, the collaborative loss's too.")
    var gradientFlow = TrainingSettings().gradientFlow

    @Option(
        help: """
            Sharpness of the balanced assignment in training, one for each level, such as 0,0,0,0.003; 0 assigns the \
            nearest code. One number is the last level's.
            """)
    var sinkhorn: EpsilonList?

    @Option(help: "Epochs between two re-seedings of codes that no item has; 0 for none.")
    var reseedInterval = TrainingSettings().reseedInterval

    @Option(help: "Epochs between two refits of all codebooks by constrained k-means; 0 for none.")
    var refitInterval = TrainingSettings().refitInterval

    @Option(help: "Items in a batch.")
    var batch = TrainingSettings().batch

    @Option(help: "Step size of AdamW.")
    var learningRate = TrainingSettings().optimizer.learningRate

    @Option(help: "Share of the step size that is left in the last epoch; it falls evenly.")
    var finalLearningRate = TrainingSettings().finalLearningRate

    @Option(help: "Weight decay of AdamW.")
    var weightDecay = TrainingSettings().optimizer.weightDecay

    @Option(help: "Epochs between two measurements of the collision rate.")
    var evaluationInterval = TrainingSettings().evaluationInterval

    @Option(help: "End when so many measurements in a row were not lower than the lowest before; 0 runs all epochs.")
    var patience = TrainingSettings().patience

    @Option(help: "Threads of matrix products; another number may change the last bits.")
    var threads = TrainingSettings().threads

    @Option(
        help:
            "What embeddings are multiplied by after they were made unit length; the root of their width if not given.")
    var inputFactor: Float?

    @Flag(help: "Train on embeddings as they are, instead of at unit length times a factor.")
    var noScaling = false

    func validate() throws {
        guard inputFactor == nil || !noScaling else {
            throw ValidationError("--input-factor and --no-scaling contradict each other.")
        }
        if let factor = inputFactor, !(factor > 0 && factor.isFinite) {
            throw ValidationError("--input-factor must be positive.")
        }
    }

    /// The settings they amount to.
    var settings: TrainingSettings {
        var settings = TrainingSettings()
        settings.epochs = epochs
        settings.seed = seed
        settings.hiddenWidths = widths.values
        settings.latentWidth = latent
        settings.levels = levels
        settings.codesPerLevel = codes
        (settings.alpha, settings.beta) = (alpha, beta)
        (settings.alphaWarmup, settings.betaWarmup) = (alphaWarmup, betaWarmup)
        settings.gradientFlow = gradientFlow
        if let sinkhorn {
            settings.upperSinkhornEpsilons = Array(sinkhorn.values.dropLast())
            settings.sinkhornEpsilon = sinkhorn.values.last ?? 0
        }
        settings.reseedInterval = reseedInterval
        settings.refitInterval = refitInterval
        settings.batch = batch
        settings.optimizer.learningRate = learningRate
        settings.finalLearningRate = finalLearningRate
        settings.optimizer.weightDecay = weightDecay
        settings.evaluationInterval = evaluationInterval
        settings.patience = patience
        settings.threads = threads
        settings.scaling =
            noScaling ? InputScaling.none : inputFactor.map { InputScaling(unitLength: true, factor: $0) }
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

/// Numbers that are not negative, with commas between them.
struct EpsilonList: ExpressibleByArgument {
    let values: [Double]

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { Double($0) }.filter { $0 >= 0 && $0.isFinite }
        guard !values.isEmpty, values.count == parts.count else { return nil }
    }
}
