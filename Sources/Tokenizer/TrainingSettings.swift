package import Numerics

/// What a training run is told. Defaults are those of the paper where it gives them.
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
    /// Epochs in which α rises from 0 in equal steps; 0 has all of it from the start.
    package var alphaWarmup = 0
    /// The same for β.
    package var betaWarmup = 0
    /// Share of the learning rate that is left in the last epoch; it falls in equal steps. 1 keeps it constant.
    package var finalLearningRate = 1.0
    /// Epochs between two re-seedings: codes that no item had in the epoch before are moved to residuals of items. 0 for
    /// none, as published.
    package var reseedInterval = 0
    /// Epochs between two refits: all codebooks are made anew by constrained k-means on the residuals of the encoder as it
    /// stands, as at the start. 0 for none, as published.
    package var refitInterval = 0
    /// Items in a batch.
    package var batch = 1024
    /// Passes over all items.
    package var epochs = 200
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

    /// ε of Sinkhorn at a level in training, 0 for none.
    package func sinkhornEpsilon(level: Int) -> Double {
        if level == levels - 1 { return sinkhornEpsilon }
        return level < upperSinkhornEpsilons.count ? upperSinkhornEpsilons[level] : 0
    }

    /// α, β and the learning rate in an epoch, counted from 1.
    package func weights(epoch: Int) -> (alpha: Float, beta: Float, learningRate: Double) {
        func ramp(_ weight: Float, _ length: Int) -> Float {
            epoch > length ? weight : weight * Float(epoch) / Float(length + 1)
        }
        let past = epochs > 1 ? Double(epoch - 1) / Double(epochs - 1) : 0
        return (
            ramp(alpha, alphaWarmup), ramp(beta, betaWarmup),
            optimizer.learningRate * (1 - past * (1 - finalLearningRate))
        )
    }
}

/// Which gradients reach the codebooks, besides those of the codebook term (3) and the diversity term (5).
package enum GradientFlow: String, Sendable, Codable, CaseIterable {
    /// None, as in the published experiments: ẑ = z + sg[Σ e − z], so that reconstruction and collaborative term move
    /// encoder and decoder alone.
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
        case evaluationInterval = "evaluation_interval"
        case patience, optimizer, seed, threads
    }

    /// Settings as a manifest has them. What an older one lacks has its default.
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
        try read(.evaluationInterval, &evaluationInterval)
        try read(.patience, &patience)
        try read(.optimizer, &optimizer)
        try read(.seed, &seed)
        try read(.threads, &threads)
    }
}
