/// How far a training run has come: after every epoch.
package struct TrainingProgress: Sendable, Encodable {
    /// The epoch that ended, counted from 1.
    package var epoch: Int
    /// Epochs to run.
    package var epochs: Int
    /// What the epoch was for.
    package var stage: TrainingStage
    /// Means of the epoch's batches.
    package var losses: Losses
    /// (items − distinct natural identifiers) / items, where it was measured this epoch.
    package var collisionRate: Double?
    /// Seconds that this epoch took, as far as this process ran it.
    package var epochSeconds: Double
    /// Seconds since this process began the run, the start of the codebooks included.
    package var seconds: Double

    enum CodingKeys: String, CodingKey {
        case epoch, epochs, stage, losses
        case collisionRate = "collision_rate"
        case epochSeconds = "epoch_seconds"
        case seconds
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
    /// Seconds it took. Letter leaves it out, so that equal runs make equal files; other trainers may say it.
    package var seconds: Double?

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

/// Weighted sums of losses, in double.
struct LossSum: Codable, Equatable {
    private var sums: [Double] = []
    private var levels = 0
    private var weight = 0.0

    mutating func add(_ losses: Losses, weight: Double) {
        let terms = losses.codebook + losses.commitment + losses.diversity
        let values = terms + [losses.reconstruction, losses.collaborative, losses.total]
        if sums.isEmpty { sums = [Double](repeating: 0, count: values.count) }
        for (i, value) in values.enumerated() { sums[i] += weight * Double(value) }
        levels = losses.codebook.count
        self.weight += weight
    }

    var mean: Losses {
        let means = sums.map { Float($0 / weight) }
        var losses = Losses()
        losses.codebook = Array(means[..<levels])
        losses.commitment = Array(means[levels..<(2 * levels)])
        losses.diversity = Array(means[(2 * levels)..<(3 * levels)])
        losses.reconstruction = means[3 * levels]
        losses.collaborative = means[3 * levels + 1]
        losses.total = means[3 * levels + 2]
        return losses
    }
}
