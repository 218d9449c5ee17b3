import Autodiff
import Layers
package import Numerics
import Tokenizer
package import Training

/// The stage after the paper's losses: encoder and codebooks are frozen, and the decoder learns to reconstruct
/// embeddings from their natural codes:
///
///     mean (s − ŝ(ẑ))²,  ẑ = Σ over levels of the code nearest to the residual
package final class DecoderStage: TokenizerStage {
    package let name = TrainingStage.decoder
    package let batchSize: Int
    package let learningRate: LinearDecay
    package let optimizer: AdamWOptimizer
    private let network: TrainingNetwork
    private var residual = Matrix()
    private var quantised = Matrix()
    private var chosen = Matrix()

    package init(_ network: TrainingNetwork, _ settings: TrainingSettings) {
        self.network = network
        batchSize = settings.outerBatch
        learningRate = LinearDecay(from: settings.optimizer.learningRate, finalShare: outerFinalLearningRate)
        optimizer = AdamWOptimizer(settings.optimizer, network.decoder.parameters)
    }

    package func backward(_ batch: TrainingBatch, epoch: Int, random: inout Random) -> BatchOutcome {
        network.beginBatch()
        let tape = network.tape
        var losses = Losses()
        let semantic = tape.constant(batch.semantic)
        let latent = tape.stopGradient(network.encoder(semantic, on: tape))
        residual.copy(tape.value(latent))
        quantised.resize(rows: residual.rows, columns: residual.columns)
        quantised.fill(0)
        var codes: [[Int]] = []
        for book in network.codebooks {
            let (nearest, distances) = Nearest.rows(of: book.value, to: residual)
            chosen.gather(nearest, of: book.value)
            quantised.add(chosen)
            residual.add(chosen, scaledBy: -1)
            codes.append(nearest)
            losses.codebook.append(distances.reduce(0, +) / Float(max(1, residual.rows * residual.columns)))
        }
        losses.commitment = losses.codebook
        losses.diversity = [Float](repeating: 0, count: codes.count)
        let known = tape.constant(quantised)
        let reconstruction = tape.meanSquaredError(network.decoder(known, on: tape), semantic)
        losses.reconstruction = tape.scalar(reconstruction)
        let total = tape.weightedSum([(reconstruction, 1)])
        losses.total = tape.scalar(total)
        tape.backward(from: total)
        return BatchOutcome(
            losses: losses, codes: codes, latent: tape.value(latent), quantised: tape.value(known))
    }
}
