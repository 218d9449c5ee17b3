import Autodiff
import Layers
package import Numerics
import Tokenizer
package import Training

/// The stage before the paper's losses: encoder and decoder learn without quantisation. With the latents z of a batch,
/// CF embeddings h and decoded embeddings ŝ:
///
///     mean (s − ŝ(z))² + w α · mean over items with h of (−log softmax_j ⟨z_i, h_j⟩ [i] + p · mean z_i²)
///
/// w is the settings' `warmupWeight`, p their `latentPenalty`. Codebooks do not move.
package final class WarmupStage: TokenizerStage {
    package let name = TrainingStage.warmup
    package let batchSize: Int
    package let learningRate: LinearDecay
    package let optimizer: AdamWOptimizer
    private let network: TrainingNetwork
    /// Weight w α of the collaborative term.
    private let alpha: Float
    /// Weight p of the mean square of z within it.
    private let penalty: Float
    private var zeros = Matrix()

    package init(_ network: TrainingNetwork, _ settings: TrainingSettings) {
        self.network = network
        batchSize = settings.outerBatch
        learningRate = LinearDecay(from: settings.optimizer.learningRate, finalShare: outerFinalLearningRate)
        optimizer = AdamWOptimizer(
            settings.optimizer, network.encoder.parameters + network.decoder.parameters)
        alpha = settings.alpha * settings.warmupWeight
        penalty = settings.latentPenalty
    }

    package func backward(_ batch: TrainingBatch, epoch: Int, random: inout Random) -> BatchOutcome {
        network.beginBatch()
        let tape = network.tape
        var losses = Losses()
        let semantic = tape.constant(batch.semantic)
        let latent = network.encoder(semantic, on: tape)
        let reconstruction = tape.meanSquaredError(network.decoder(latent, on: tape), semantic)
        losses.reconstruction = tape.scalar(reconstruction)
        var terms: [(Tape.Variable, Float)] = [(reconstruction, 1)]
        if !batch.kept.isEmpty {
            let known = tape.gather(latent, batch.kept)
            let logits = tape.productTransposed(known, tape.constant(batch.collaborative))
            let collaborative = tape.crossEntropy(logits, targets: Array(batch.kept.indices))
            // Never written to, so it stays zero.
            zeros.resize(rows: batch.kept.count, columns: batch.collaborative.columns)
            let size = tape.meanSquaredError(known, tape.constant(zeros))
            terms += [(collaborative, alpha), (size, alpha * penalty)]
            losses.collaborative = tape.scalar(collaborative)
        }
        let none = [Float](repeating: 0, count: network.codebooks.count)
        (losses.codebook, losses.commitment, losses.diversity) = (none, none, none)
        let total = tape.weightedSum(terms)
        losses.total = tape.scalar(total)
        tape.backward(from: total)
        return BatchOutcome(
            losses: losses, codes: [], latent: tape.value(latent), quantised: tape.value(latent))
    }
}
