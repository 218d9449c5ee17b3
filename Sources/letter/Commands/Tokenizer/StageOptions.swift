import ArgumentParser
import Tokenizer
import TokenizerTraining

/// Settings of a training run's stages before and after the paper's losses. What is not given is the preset's.
struct StageOptions: ParsableArguments {
    @Option(help: "Of the epochs, the first so many train without quantisation, before codebooks are started.")
    var warmupEpochs: Int?

    @Option(help: "Weight of the collaborative loss in the warm-up, in multiples of alpha.")
    var warmupWeight: Float?

    @Option(help: "Weight of the latent's mean square within the collaborative loss of the warm-up.")
    var latentPenalty: Float?

    @Option(help: "Of the epochs, the last so many train the decoder alone; encoder and codebooks are frozen.")
    var decoderEpochs: Int?

    @Option(help: "Items in a batch of the warm-up and of the decoder's epochs.")
    var outerBatch: Int?

    @Option(help: "What CF embeddings are multiplied by after they were made unit length; 0 leaves them as they are.")
    var cfFactor: Float?

    @Option(
        help: "When the encoder is frozen, codebooks from this level on (1 is the first) are made anew; 0 for none.")
    var finalRefitLevel: Int?

    @Flag(
        inversion: .prefixedNo,
        help: "The last two of them have codes of their own for items that would share an identifier.")
    var separateLastLevels: Bool?

    @Flag(inversion: .prefixedNo, help: "Bound the clusters' sizes when codebooks are made by k-means.")
    var boundCodebooks: Bool?

    func validate() throws {
        if let cfFactor, !(cfFactor >= 0 && cfFactor.isFinite) {
            throw ValidationError("--cf-factor must not be negative.")
        }
    }

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
