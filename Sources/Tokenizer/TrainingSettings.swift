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
    /// Iterations of Sinkhorn.
    package var sinkhornIterations = 50
    /// Items in a batch.
    package var batch = 1024
    /// Passes over all items.
    package var epochs = 200
    /// Epochs between two measurements of the collision rate; the last epoch is always measured.
    package var evaluationInterval = 10
    /// Step size and weight decay.
    package var optimizer = AdamW()
    /// Seed of everything random.
    package var seed: UInt64 = 1
    /// Threads of matrix products. Part of the settings because the last bits may depend on it.
    package var threads = 2

    package init() {}

    enum CodingKeys: String, CodingKey {
        case hiddenWidths = "hidden_widths"
        case latentWidth = "latent_width"
        case levels
        case codesPerLevel = "codes_per_level"
        case scaling = "input_scaling"
        case alpha, beta, mu, clusters
        case sinkhornEpsilon = "sinkhorn_epsilon"
        case sinkhornIterations = "sinkhorn_iterations"
        case batch, epochs
        case evaluationInterval = "evaluation_interval"
        case optimizer, seed, threads
    }
}

/// How a training run ended: the figures of the epoch whose parameters were kept.
package struct TrainingFigures: Sendable, Codable, Equatable {
    /// Items trained on.
    package var items: Int
    /// Items among them with a CF embedding.
    package var collaborativeItems: Int
    /// The epoch kept, counted from 1.
    package var epoch: Int
    /// Epochs run.
    package var epochs: Int
    /// (items − distinct natural identifiers) / items.
    package var collisionRate: Double
    /// Mean losses over the kept epoch's batches.
    package var losses: Losses
    /// Codes in use at each level.
    package var codesUsed: [Int]
    /// Seconds it took.
    package var seconds: Double

    enum CodingKeys: String, CodingKey {
        case items
        case collaborativeItems = "collaborative_items"
        case epoch, epochs
        case collisionRate = "collision_rate"
        case losses
        case codesUsed = "codes_used"
        case seconds
    }
}

/// The loss terms of a batch, or their means over an epoch.
package struct Losses: Sendable, Codable, Equatable {
    /// Mean squared error of the decoder (3).
    package var reconstruction: Float = 0
    /// ‖sg[r] − e‖², mean over elements, for each level.
    package var codebook: [Float] = []
    /// ‖r − sg[e]‖², mean over elements, for each level.
    package var commitment: [Float] = []
    /// Diversity cross-entropy of each level (5).
    package var diversity: [Float] = []
    /// Collaborative cross-entropy (4).
    package var collaborative: Float = 0
    /// reconstruction + mean over levels (codebook + μ · commitment + β · diversity) + α · collaborative.
    package var total: Float = 0

    package init() {}
}
