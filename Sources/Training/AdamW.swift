/// The settings of Adam with decoupled weight decay (Loshchilov and Hutter 2019).
///
/// Part of model manifests and checkpoints: the names of the JSON keys are those of the properties.
package struct AdamW: Sendable, Codable, Equatable {
    /// Learning rate η.
    package var learningRate: Double
    /// Weight decay λ: a step multiplies weights by 1 − η λ.
    package var weightDecay: Double
    /// Decay β₁ of the first moment.
    package var beta1 = 0.9
    /// Decay β₂ of the second moment.
    package var beta2 = 0.999
    /// ε, added to the root of the second moment.
    package var epsilon = 1e-8

    package init(learningRate: Double = 1e-3, weightDecay: Double = 1e-4) {
        self.learningRate = learningRate
        self.weightDecay = weightDecay
    }
}
