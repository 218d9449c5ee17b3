package import Tokenizer

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
