package import Numerics
package import Tokenizer
import Training

/// The embeddings of a batch of items.
package struct TrainingBatch {
    /// Scaled semantic embeddings, (B, D).
    package var semantic = Matrix()
    /// Scaled CF embeddings of the items that have one, (kept, d).
    package var collaborative = Matrix()
    /// Rows of the items that have one, in the order of `collaborative`.
    package var kept: [Int] = []

    package init() {}

    package init(semantic: Matrix, collaborative: Matrix, kept: [Int]) {
        self.semantic = semantic
        self.collaborative = collaborative
        self.kept = kept
    }
}

/// What the losses of a batch were computed from, and what they are.
package struct BatchOutcome {
    /// The loss terms.
    package var losses: Losses
    /// Codes of each level, L × B; empty without quantisation.
    package var codes: [[Int]]
    /// Latent embeddings z (B, d).
    package var latent: Matrix
    /// What the decoder read: quantised embeddings ẑ (B, d), or z without quantisation.
    package var quantised: Matrix
}

extension Losses: LossTerms {
    /// The terms without the commitment, whose value is the codebook term's.
    package var values: [Float] { codebook + diversity + [reconstruction, collaborative, total] }

    package init(values: [Float]) {
        let levels = (values.count - 3) / 2
        self.init()
        codebook = Array(values[..<levels])
        commitment = codebook
        diversity = Array(values[levels..<(2 * levels)])
        reconstruction = values[2 * levels]
        collaborative = values[2 * levels + 1]
        total = values[2 * levels + 2]
    }
}
