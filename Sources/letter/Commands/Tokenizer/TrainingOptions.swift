import ArgumentParser
import Numerics
import Tokenizer
import TokenizerTraining
import Training

extension GradientFlow: ExpressibleByArgument {
    init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }

    var defaultValueDescription: String { rawValue.replacing("_", with: "-") }

    static var allValueStrings: [String] { allCases.map(\.defaultValueDescription) }

    static var allValueDescriptions: [String: String] {
        [
            "as-published": "none, as in the published experiments",
            "as-paper-reads": "that of the collaborative loss, as the text of the paper reads",
        ]
    }
}

extension TrainingPreset: ExpressibleByArgument {}

/// Settings of a training run on the command line. The preset gives what is not set here.
struct TrainingOptions: ParsableArguments {
    @Option(help: "Settings to start from: those that did best on real data, or the published ones.")
    var preset = TrainingPreset.recommended

    @Option(
        help: ArgumentHelp(
            """
            Number of epochs, including warm-up and decoder epochs (recommended: 320, published: 200). The recommended \
            preset divides them among the three stages.
            """, valueName: "n"))
    var epochs: Int?

    @Option(help: ArgumentHelp("Seed of all random numbers.", valueName: "n"))
    var seed = TrainingSettings().seed

    @Option(
        help: ArgumentHelp(
            "Hidden widths of the encoder, such as 512,256,128,64; the decoder has them in reverse.", valueName: "list")
    )
    var widths = WidthList(TrainingSettings().hiddenWidths)

    @Option(
        help: ArgumentHelp("Width of the latent embedding; must be the width of the CF embeddings.", valueName: "n"))
    var latent = TrainingSettings().latentWidth

    @Option(help: ArgumentHelp("Number of levels, that is, codes in an identifier.", valueName: "n"))
    var levels = TrainingSettings().levels

    @Option(help: ArgumentHelp("Number of codes of each level.", valueName: "n"))
    var codes = TrainingSettings().codesPerLevel

    @Option(help: ArgumentHelp("Weight of the collaborative loss.", valueName: "weight"))
    var alpha: Float?

    @Option(help: ArgumentHelp("Weight of the diversity loss.", valueName: "weight"))
    var beta: Float?

    @Option(help: ArgumentHelp("Number of epochs in which alpha rises from 0 to its value.", valueName: "n"))
    var alphaWarmup: Int?

    @Option(help: ArgumentHelp("Number of epochs in which beta rises from 0 to its value.", valueName: "n"))
    var betaWarmup: Int?

    @Option(
        help: ArgumentHelp(
            "Which gradients reach the codebooks, in addition to those of the codebook and diversity losses.",
            valueName: "gradients"))
    var gradientFlow: GradientFlow?

    @Option(
        help: ArgumentHelp(
            """
            Entropy weight (epsilon) of the balanced assignment in training for each level, such as 0,0,0,0.003; 0 \
            assigns the nearest code. A single number is for the last level.
            """, valueName: "list"))
    var sinkhorn: EpsilonList?

    @Option(help: ArgumentHelp("Epochs between two re-seedings of unused codes; 0 for never.", valueName: "n"))
    var reseedInterval: Int?

    @Option(
        help: ArgumentHelp(
            "Epochs between two refits of all codebooks by constrained k-means; 0 for never.", valueName: "n"))
    var refitInterval: Int?

    @Option(help: ArgumentHelp("Items in a batch.", valueName: "n"))
    var batch: Int?

    @Option(help: ArgumentHelp("Learning rate of AdamW.", valueName: "rate"))
    var learningRate: Double?

    @Option(
        help: ArgumentHelp(
            "Learning rate in the last epoch, as a fraction of --learning-rate; it falls linearly.",
            valueName: "fraction"))
    var finalLearningRate: Double?

    @Option(help: ArgumentHelp("Weight decay of AdamW.", valueName: "weight"))
    var weightDecay: Double?

    @Option(help: ArgumentHelp("Epochs between two measurements of the collision rate.", valueName: "n"))
    var evaluationInterval: Int?

    @Option(
        help: ArgumentHelp(
            "Stop after this many measurements in a row without a lower collision rate; 0 runs all epochs.",
            valueName: "n"))
    var patience: Int?

    @OptionGroup var stages: StageOptions

    @Option(
        help: ArgumentHelp(
            "Number of threads of matrix products; another number may change the last bits of the model.",
            valueName: "n"))
    var threads = TrainingSettings().threads

    @Option(
        help: ArgumentHelp(
            "Factor by which embeddings are multiplied after scaling to unit length (published: the square root of their width).",
            valueName: "factor"))
    var inputFactor: Float?

    @Flag(help: "Train on unscaled embeddings, instead of unit length times a factor.")
    var noScaling = false

    func validate() throws {
        guard inputFactor == nil || !noScaling else {
            throw ValidationError("--input-factor and --no-scaling exclude each other.")
        }
        if let factor = inputFactor, !(factor > 0 && factor.isFinite) {
            throw ValidationError("--input-factor must be positive.")
        }
    }

    /// The settings: the preset's, changed by the options.
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
        // A preset has ε for four levels; with fewer levels the first of them are used.
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

/// Positive whole numbers, separated by commas.
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

/// Numbers that are not negative, separated by commas.
struct EpsilonList: ExpressibleByArgument {
    let values: [Double]

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { Double($0) }.filter { $0 >= 0 && $0.isFinite }
        guard !values.isEmpty, values.count == parts.count else { return nil }
    }
}
