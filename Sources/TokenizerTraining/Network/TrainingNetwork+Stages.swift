import Tokenizer
package import Autodiff
import Numerics

/// The losses of the stages before and after the paper's.
extension TrainingNetwork {
    /// The parameters that move in a stage.
    package func parameters(_ stage: TrainingStage) -> [Parameter] {
        switch stage {
        case .warmup: Array(parameters.dropLast(codebooks.count))
        case .quantised: parameters
        case .decoder: decoder.flatMap { [$0.weight, $0.bias] }
        }
    }

    /// Losses of a batch without quantisation, and their gradients added to the parameters' (cleared first):
    ///
    /// mean (s − ŝ)², ŝ decoded from z, + α · (−log softmax_j ⟨z_i, h_j⟩ [i] + penalty · mean z_i²), the second over the
    /// items with a CF embedding. α is the network's; the penalty is the settings' `latentPenalty`. Codebooks have no part.
    package func backwardWarmup(_ batch: Batch) -> Outcome {
        for parameter in parameters { parameter.clearGradient() }
        tape.reset()
        var losses = Losses()
        let semantic = tape.constant(batch.semantic)
        let latent = run(encoder, semantic)
        let reconstruction = tape.meanSquaredError(run(decoder, latent), semantic)
        losses.reconstruction = tape.scalar(reconstruction)
        var terms: [(Tape.Variable, Float)] = [(reconstruction, 1)]
        if !batch.kept.isEmpty {
            let known = tape.gather(latent, batch.kept)
            let logits = tape.productTransposed(known, tape.constant(batch.collaborative))
            let collaborative = tape.crossEntropy(logits, targets: Array(batch.kept.indices))
            let zeros = Matrix(rows: batch.kept.count, columns: batch.collaborative.columns)
            let size = tape.meanSquaredError(known, tape.constant(zeros))
            terms += [(collaborative, alpha), (size, alpha * settings.latentPenalty)]
            losses.collaborative = tape.scalar(collaborative)
        }
        let none = [Float](repeating: 0, count: codebooks.count)
        (losses.codebook, losses.commitment, losses.diversity) = (none, none, none)
        return finish(terms, losses, latent: latent, quantised: latent, codes: [])
    }

    /// Reconstruction of natural codes, and its gradient added to the decoder's parameters (cleared first). Nothing else
    /// has a gradient.
    package func backwardDecoder(_ batch: Batch) -> Outcome {
        for parameter in parameters { parameter.clearGradient() }
        tape.reset()
        var losses = Losses()
        let semantic = tape.constant(batch.semantic)
        let latent = tape.stopGradient(run(encoder, semantic))
        var residual = tape.value(latent)
        var quantised = Matrix(rows: residual.rows, columns: residual.columns)
        var codes: [[Int]] = []
        for book in codebooks {
            let (nearest, distances) = Nearest.rows(of: book.value, to: residual)
            var chosen = Matrix()
            chosen.gather(nearest, of: book.value)
            quantised.add(chosen)
            residual.add(chosen, scaledBy: -1)
            codes.append(nearest)
            losses.codebook.append(distances.reduce(0, +) / Float(max(1, residual.rows * residual.columns)))
        }
        losses.commitment = losses.codebook
        losses.diversity = [Float](repeating: 0, count: codebooks.count)
        let known = tape.constant(quantised)
        let reconstruction = tape.meanSquaredError(run(decoder, known), semantic)
        losses.reconstruction = tape.scalar(reconstruction)
        return finish([(reconstruction, 1)], losses, latent: latent, quantised: known, codes: codes)
    }

    private func finish(
        _ terms: [(Tape.Variable, Float)], _ losses: Losses, latent: Tape.Variable, quantised: Tape.Variable,
        codes: [[Int]]
    ) -> Outcome {
        var losses = losses
        let total = tape.weightedSum(terms)
        losses.total = tape.scalar(total)
        tape.backward(from: total)
        return Outcome(losses: losses, codes: codes, latent: tape.value(latent), quantised: tape.value(quantised))
    }
}
