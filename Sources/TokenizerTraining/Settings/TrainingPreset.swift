import Tokenizer

/// Settings that belong together.
package enum TrainingPreset: String, Sendable, CaseIterable {
    /// The settings that reached all aims on real data; Docs/tokenizer-quality.md has the measurements.
    case recommended
    /// The paper's recommendation and the published experiments' procedure.
    case published
}

extension TrainingSettings {
    /// The settings of a preset, for this many epochs.
    ///
    /// - Parameter epochs: passes over all items, nil for the preset's own number. Recommended settings divide them among
    ///   the stages in the proportions of their own; there is always an epoch of the paper's losses.
    package init(_ preset: TrainingPreset, epochs: Int? = nil) {
        self.init()
        switch preset {
        case .published:
            if let epochs { self.epochs = epochs }
        case .recommended:
            self.epochs = epochs ?? 320
            warmupEpochs = self.epochs * 15 / 32
            decoderEpochs = self.epochs * 15 / 32
            scaling = InputScaling(unitLength: true, factor: 3)
            collaborativeScaling = InputScaling(unitLength: true, factor: 1)
            alpha = 0.1
            upperSinkhornEpsilons = [0.02, 0.02, 0.02]
            boundsCodebooks = false
            finalRefitLevel = 2
            separatesLastLevels = true
        }
    }
}
