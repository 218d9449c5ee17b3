import ArgumentParser
import Tokenizer
import TokenizerTraining

/// Settings of the stages before and after the epochs with the paper's losses. The preset gives what is not set here.
struct StageOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Number of epochs at the start that train without quantisation, before codebooks are initialised.",
            valueName: "n"))
    var warmupEpochs: Int?

    @Option(
        help: ArgumentHelp(
            "Weight of the collaborative loss in the warm-up, as a multiple of alpha.", valueName: "factor"))
    var warmupWeight: Float?

    @Option(
        help: ArgumentHelp(
            "Weight of the latent's mean square in the collaborative loss of the warm-up.", valueName: "weight"))
    var latentPenalty: Float?

    @Option(
        help: ArgumentHelp(
            "Number of epochs at the end that train the decoder alone, with encoder and codebooks frozen.",
            valueName: "n"))
    var decoderEpochs: Int?

    @Option(help: ArgumentHelp("Items in a batch of the warm-up and decoder epochs.", valueName: "n"))
    var outerBatch: Int?

    @Option(
        help: ArgumentHelp(
            "Factor by which CF embeddings are multiplied after scaling to unit length; 0 uses them unscaled.",
            valueName: "factor"))
    var cfFactor: Float?

    @Option(
        help: ArgumentHelp(
            "First level (from 1) whose codebook is refitted after the encoder is frozen, with all levels after it; 0 for none.",
            valueName: "level"))
    var finalRefitLevel: Int?

    @Flag(
        inversion: .prefixedNo,
        help: "In the final refit, reserve codes in the last two levels for items that would otherwise collide.")
    var separateLastLevels: Bool?

    @Flag(inversion: .prefixedNo, help: "Limit cluster sizes when k-means initialises codebooks.")
    var boundCodebooks: Bool?

    func validate() throws {
        if let cfFactor, !(cfFactor >= 0 && cfFactor.isFinite) {
            throw ValidationError("--cf-factor must not be negative.")
        }
    }

    /// Changes the settings that are given.
    func apply(to settings: inout TrainingSettings) {
        if let warmupEpochs { settings.warmupEpochs = warmupEpochs }
        if let warmupWeight { settings.warmupWeight = warmupWeight }
        if let latentPenalty { settings.latentPenalty = latentPenalty }
        if let decoderEpochs { settings.decoderEpochs = decoderEpochs }
        if let outerBatch { settings.outerBatch = outerBatch }
        if let cfFactor {
            settings.collaborativeScaling = cfFactor > 0 ? InputScaling(unitLength: true, factor: cfFactor) : nil
        }
        if let finalRefitLevel { settings.finalRefitLevel = finalRefitLevel }
        if let separateLastLevels { settings.separatesLastLevels = separateLastLevels }
        if let boundCodebooks { settings.boundsCodebooks = boundCodebooks }
    }
}
