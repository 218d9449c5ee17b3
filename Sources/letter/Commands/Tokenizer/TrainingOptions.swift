import ArgumentParser
import Numerics
import Tokenizer
import TokenizerTraining
import Training

extension GradientFlow: ExpressibleByArgument {
    init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }

    var defaultValueDescription: String { rawValue.replacing("_", with: "-") }

    static var allValueStrings: [String] { allCases.map(\.defaultValueDescription) }
}

extension TrainingPreset: ExpressibleByArgument {}

/// Settings of a training run that the command line may change. What is not given is the preset's.
struct TrainingOptions: ParsableArguments {
    @Option(help: "Settings to start from: those that did best on real data, or the published ones.")
    var preset = TrainingPreset.recommended

    @Option(
        help: """
            Passes over all items (recommended: 320, published: 200), those of the warm-up and of the decoder alone \
            included; recommended settings divide them among the three.
            """)
    var epochs: Int?

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
    var alpha: Float?

    @Option(help: "Weight of the diversity loss.")
    var beta: Float?

    @Option(help: "Epochs in which alpha rises from 0 to its value.")
    var alphaWarmup: Int?

    @Option(help: "Epochs in which beta rises from 0 to its value.")
    var betaWarmup: Int?

    @Option(help: "Which gradients reach the codebooks: as-published, or as-paper-reads, the collaborative loss's too.")
    var gradientFlow: GradientFlow?

    @Option(
        help: """
            Sharpness of the balanced assignment in training, one for each level, such as 0,0,0,0.003; 0 assigns the \
            nearest code. One number is the last level's.
            """)
    var sinkhorn: EpsilonList?

    @Option(help: "Epochs between two re-seedings of codes that no item has; 0 for none.")
    var reseedInterval: Int?

    @Option(help: "Epochs between two refits of all codebooks by constrained k-means; 0 for none.")
    var refitInterval: Int?

    @Option(help: "Items in a batch.")
    var batch: Int?

    @Option(help: "Step size of AdamW.")
    var learningRate: Double?

    @Option(help: "Share of the step size that is left in the last epoch; it falls evenly.")
    var finalLearningRate: Double?

    @Option(help: "Weight decay of AdamW.")
    var weightDecay: Double?

    @Option(help: "Epochs between two measurements of the collision rate.")
    var evaluationInterval: Int?

    @Option(help: "End when so many measurements in a row were not lower than the lowest before; 0 runs all epochs.")
    var patience: Int?

    @OptionGroup var stages: StageOptions

    @Option(help: "Threads of matrix products; another number may change the last bits.")
    var threads = TrainingSettings().threads

    @Option(
        help:
            "What embeddings are multiplied by after they were made unit length; published: the root of their width.")
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
        var settings = TrainingSettings(preset, epochs: epochs)
        func set<T>(_ path: WritableKeyPath<TrainingSettings, T>, _ value: T?) {
            if let value { settings[keyPath: path] = value }
        }
        settings.seed = seed
        settings.hiddenWidths = widths.values
        settings.latentWidth = latent
        settings.levels = levels
        settings.codesPerLevel = codes
        settings.threads = threads
        // A preset's ε are for four levels; other numbers of levels take the first.
        settings.upperSinkhornEpsilons = Array(settings.upperSinkhornEpsilons.prefix(max(0, levels - 1)))
        settings.finalRefitLevel = min(settings.finalRefitLevel, max(0, levels))
        if let sinkhorn {
            settings.upperSinkhornEpsilons = Array(sinkhorn.values.dropLast())
            settings.sinkhornEpsilon = sinkhorn.values.last ?? 0
        }
        set(\.alpha, alpha)
        set(\.beta, beta)
        set(\.alphaWarmup, alphaWarmup)
        set(\.betaWarmup, betaWarmup)
        set(\.gradientFlow, gradientFlow)
        set(\.reseedInterval, reseedInterval)
        set(\.refitInterval, refitInterval)
        set(\.batch, batch)
        set(\.optimizer.learningRate, learningRate)
        set(\.finalLearningRate, finalLearningRate)
        set(\.optimizer.weightDecay, weightDecay)
        set(\.evaluationInterval, evaluationInterval)
        set(\.patience, patience)
        stages.apply(to: &settings)
        if noScaling { settings.scaling = InputScaling.none }
        if let inputFactor { settings.scaling = InputScaling(unitLength: true, factor: inputFactor) }
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
