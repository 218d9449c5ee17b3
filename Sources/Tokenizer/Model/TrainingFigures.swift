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
    /// Mean quantisation error ‖r_L‖² of the items by natural codes: what an index stores of each item. Nil where the
    /// trainer did not record it.
    package var quantisationError: Double?
    /// Seconds it took. Letter leaves it out, so that equal runs make equal files; other trainers may say it.
    package var seconds: Double?

    package init(
        items: Int, collaborativeItems: Int, epoch: Int, epochs: Int, collisionRate: Double, losses: Losses,
        codesUsed: [Int], quantisationError: Double? = nil, seconds: Double? = nil
    ) {
        self.items = items
        self.collaborativeItems = collaborativeItems
        self.epoch = epoch
        self.epochs = epochs
        self.collisionRate = collisionRate
        self.losses = losses
        self.codesUsed = codesUsed
        self.quantisationError = quantisationError
        self.seconds = seconds
    }

    enum CodingKeys: String, CodingKey {
        case items
        case collaborativeItems = "collaborative_items"
        case epoch, epochs
        case collisionRate = "collision_rate"
        case losses
        case codesUsed = "codes_used"
        case quantisationError = "quantisation_error"
        case seconds
    }
}

/// The loss terms of a batch, or their means over an epoch.
package struct Losses: Sendable, Codable, Equatable {
    /// Mean squared error of the decoder (3).
    package var reconstruction: Float = 0
    /// ‖sg[r] − e‖², mean over elements, for each level.
    package var codebook: [Float] = []
    /// ‖r − sg[e]‖², mean over elements, for each level. Letter's training records the numbers of `codebook`: the values
    /// are equal, only the gradients differ.
    package var commitment: [Float] = []
    /// Diversity cross-entropy of each level (5).
    package var diversity: [Float] = []
    /// Collaborative cross-entropy (4).
    package var collaborative: Float = 0
    /// reconstruction + mean over levels (codebook + μ · commitment + β · diversity) + α · collaborative.
    package var total: Float = 0

    package init() {}
}
