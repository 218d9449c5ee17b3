import Core
import FoundationEssentials
package import Tokenizer
package import Training

/// The settings of a tokenizer's training. Defaults are those of the paper where it gives them, and of the published
/// experiments; `TrainingSettings(.recommended)` has those that did best on real data.
///
/// A run has up to three stages: warm-up epochs without quantisation, the epochs of the paper's losses, and epochs of the
/// decoder alone (`TrainingStage`). As published there is only the second.
package struct TrainingSettings: Sendable, Codable, Equatable {
    /// Widths of the encoder between input and latent; the decoder mirrors them.
    package var hiddenWidths = [512, 256, 128, 64]
    /// Width d of the latent embedding.
    package var latentWidth = 32
    /// Levels L.
    package var levels = 4
    /// Codes N of each level.
    package var codesPerLevel = 256
    /// Scaling of the input; nil is unit length times √width.
    package var scaling: InputScaling?
    /// Scaling of the CF embeddings; nil leaves them as they are, as published.
    package var collaborativeScaling: InputScaling?
    /// Weight α of the collaborative term (4).
    package var alpha: Float = 0.02
    /// Weight β of the diversity term (5), before the mean over levels.
    package var beta: Float = 1e-4
    /// Weight μ of the commitment term (3).
    package var mu: Float = 0.25
    /// Clusters K of a level's codes, for the diversity term.
    package var clusters = 10
    /// ε of Sinkhorn at the last level in training; 0 assigns the nearest code there too.
    package var sinkhornEpsilon = 0.003
    /// ε at the levels before the last, the first level's first; 0, and a level for which there is none, assigns the
    /// nearest code, as published.
    package var upperSinkhornEpsilons: [Double] = []
    /// Iterations of Sinkhorn.
    package var sinkhornIterations = 50
    /// Which gradients reach the codebooks.
    package var gradientFlow = GradientFlow.asPublished
    /// Epochs in which α rises from 0 in equal steps; 0 has the full weight from the start.
    package var alphaWarmup = 0
    /// The same for β.
    package var betaWarmup = 0
    /// Share of the learning rate that is left in the last epoch; it falls in equal steps. 1 keeps it constant.
    package var finalLearningRate = 1.0
    /// Epochs between two re-seedings, which move codes that no item had in the epoch before to residuals of items. 0 for
    /// none, as published.
    package var reseedInterval = 0
    /// Epochs between two refits of all codebooks by constrained k-means on the current residuals, as at the start. 0 for
    /// none, as published.
    package var refitInterval = 0
    /// Items in a batch.
    package var batch = 1024
    /// Passes over all items, including those of the warm-up and of the decoder alone.
    package var epochs = 200
    /// The first of the epochs, in which nothing is quantised: the decoder reads z, and z itself is in the collaborative
    /// term. Codebooks are started after them. 0 for none, as published.
    package var warmupEpochs = 0
    /// The collaborative term's weight in the warm-up, in multiples of α.
    package var warmupWeight: Float = 10
    /// Weight of mean z², over the items with a CF embedding, within the collaborative term of the warm-up. Without it z
    /// grows until it separates every item from items with similar users, which should stay close.
    package var latentPenalty: Float = 4
    /// The last of the epochs, in which encoder and codebooks are frozen and only the decoder learns. 0 for none, as
    /// published.
    package var decoderEpochs = 0
    /// Items in a batch of the warm-up and of the decoder's epochs.
    package var outerBatch = 128
    /// Whether clusters have bounds on their sizes when codebooks are made by k-means, as published.
    package var boundsCodebooks = true
    /// The first level, counted from 1, of those whose codebooks are refitted once the encoder is frozen: by k-means on
    /// what the levels before leave. 0 for none, as published.
    package var finalRefitLevel = 0
    /// Whether that refit reserves codes of the last two levels for items that would otherwise share an identifier
    /// (`SeparatingCodebook`).
    package var separatesLastLevels = false
    /// Epochs between two measurements of the collision rate; the last epoch is always measured.
    package var evaluationInterval = 10
    /// Measurements in a row without a lower collision rate after which the run ends early; 0 runs all epochs.
    package var patience = 0
    /// Step size and weight decay.
    package var optimizer = AdamW()
    /// Seed of everything random.
    package var seed: UInt64 = 1
    /// Threads of matrix products. Part of the settings because the last bits may depend on it.
    package var threads = 2

    package init() {}

    /// ε of Sinkhorn in training at one of `levels` levels, counted from 0; 0 for none.
    package func sinkhornEpsilon(level: Int, of levels: Int) -> Double {
        if level == levels - 1 { return sinkhornEpsilon }
        return level < upperSinkhornEpsilons.count ? upperSinkhornEpsilons[level] : 0
    }

    /// Epochs of the paper's losses.
    package var quantisedEpochs: Int { epochs - warmupEpochs - decoderEpochs }

    /// Whether codebooks or decoder still change after the epochs of the paper's losses.
    var hasFinish: Bool { decoderEpochs > 0 || finalRefitLevel > 0 }

    /// Epochs, measurements and patience of the run: measured are quantised epochs of the second half, and the last one.
    /// Where codebooks or decoder still change after them, only the last one.
    var plan: TrainingPlan {
        TrainingPlan(
            epochs: epochs, firstMeasured: hasFinish ? epochs : max(warmupEpochs, epochs / 2) + 1,
            interval: evaluationInterval, patience: patience, threads: threads)
    }

    /// The stage of an epoch, counted from 1, the epoch's number in it, also from 1, and how many epochs the stage has.
    package func stage(epoch: Int) -> (stage: TrainingStage, number: Int, count: Int) {
        if epoch <= warmupEpochs { return (.warmup, epoch, warmupEpochs) }
        if epoch <= epochs - decoderEpochs { return (.quantised, epoch - warmupEpochs, quantisedEpochs) }
        return (.decoder, epoch - (epochs - decoderEpochs), decoderEpochs)
    }
}

/// The stages of a training run, by the names that progress lines have.
package enum TrainingStage: String, Sendable, Codable {
    /// Reconstruction (3) of z and the collaborative term (4) of z, without quantisation.
    case warmup = "warm_up"
    /// All losses of the paper.
    case quantised
    /// Reconstruction of ẑ by natural codes; only the decoder learns.
    case decoder
}

/// Which gradients reach the codebooks, in addition to those of the codebook term (3) and the diversity term (5).
package enum GradientFlow: String, Sendable, Codable, CaseIterable {
    /// None, as in the published experiments: ẑ = z + sg[Σ e − z], so that the reconstruction and collaborative terms
    /// move only encoder and decoder.
    case asPublished = "as_published"
    /// That of the collaborative term (4), as the paper's text reads ("optimizing quantized embeddings"): its ẑ is
    /// z + sg[−z] + Σ e, so that dẑ/dz = I and dẑ/de = I for the code of every level.
    case asPaperReads = "as_paper_reads"
}

// MARK: - JSON

extension TrainingSettings {
    enum CodingKeys: String, CodingKey {
        case hiddenWidths = "hidden_widths"
        case latentWidth = "latent_width"
        case levels
        case codesPerLevel = "codes_per_level"
        case scaling = "input_scaling"
        case collaborativeScaling = "collaborative_scaling"
        case alpha, beta, mu, clusters
        case sinkhornEpsilon = "sinkhorn_epsilon"
        case upperSinkhornEpsilons = "upper_sinkhorn_epsilons"
        case sinkhornIterations = "sinkhorn_iterations"
        case gradientFlow = "gradient_flow"
        case alphaWarmup = "alpha_warmup"
        case betaWarmup = "beta_warmup"
        case finalLearningRate = "final_learning_rate"
        case reseedInterval = "reseed_interval"
        case refitInterval = "refit_interval"
        case batch, epochs
        case warmupEpochs = "warmup_epochs"
        case warmupWeight = "warmup_weight"
        case latentPenalty = "latent_penalty"
        case decoderEpochs = "decoder_epochs"
        case outerBatch = "outer_batch"
        case boundsCodebooks = "bounds_codebooks"
        case finalRefitLevel = "final_refit_level"
        case separatesLastLevels = "separates_last_levels"
        case evaluationInterval = "evaluation_interval"
        case patience, optimizer, seed, threads
    }

    /// The settings as a manifest records them.
    func json() throws -> JSONValue {
        try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(self))
    }

    /// Settings as a manifest has them. A setting that an older manifest lacks has its default.
    package init(from decoder: any Decoder) throws {
        self.init()
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func read<T: Decodable>(_ key: CodingKeys, _ value: inout T) throws {
            if let found = try container.decodeIfPresent(T.self, forKey: key) { value = found }
        }
        try read(.hiddenWidths, &hiddenWidths)
        try read(.latentWidth, &latentWidth)
        try read(.levels, &levels)
        try read(.codesPerLevel, &codesPerLevel)
        scaling = try container.decodeIfPresent(InputScaling.self, forKey: .scaling)
        collaborativeScaling = try container.decodeIfPresent(InputScaling.self, forKey: .collaborativeScaling)
        try read(.alpha, &alpha)
        try read(.beta, &beta)
        try read(.mu, &mu)
        try read(.clusters, &clusters)
        try read(.sinkhornEpsilon, &sinkhornEpsilon)
        try read(.upperSinkhornEpsilons, &upperSinkhornEpsilons)
        try read(.sinkhornIterations, &sinkhornIterations)
        try read(.gradientFlow, &gradientFlow)
        try read(.alphaWarmup, &alphaWarmup)
        try read(.betaWarmup, &betaWarmup)
        try read(.finalLearningRate, &finalLearningRate)
        try read(.reseedInterval, &reseedInterval)
        try read(.refitInterval, &refitInterval)
        try read(.batch, &batch)
        try read(.epochs, &epochs)
        try read(.warmupEpochs, &warmupEpochs)
        try read(.warmupWeight, &warmupWeight)
        try read(.latentPenalty, &latentPenalty)
        try read(.decoderEpochs, &decoderEpochs)
        try read(.outerBatch, &outerBatch)
        try read(.boundsCodebooks, &boundsCodebooks)
        try read(.finalRefitLevel, &finalRefitLevel)
        try read(.separatesLastLevels, &separatesLastLevels)
        try read(.evaluationInterval, &evaluationInterval)
        try read(.patience, &patience)
        try read(.optimizer, &optimizer)
        try read(.seed, &seed)
        try read(.threads, &threads)
    }
}
