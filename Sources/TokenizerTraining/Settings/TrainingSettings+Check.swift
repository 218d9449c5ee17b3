import Core
import Numerics
import Tokenizer
import Training

extension TrainingSettings {
    /// - Throws: `tokenizer.bad_settings` for settings that cannot be trained with.
    func check() throws {
        let wrong: String? =
            if hiddenWidths.contains(where: { $0 < 1 }) || latentWidth < 1 {
                "a width is not positive"
            } else if !(1...8).contains(levels) || !(1...65536).contains(codesPerLevel) {
                "\(levels) levels of \(codesPerLevel) codes; 1 to 8 of 1 to 65,536 are possible"
            } else if batch < 1 || epochs < 1 || evaluationInterval < 1 || clusters < 1 {
                "batch, epochs, evaluation interval and clusters must be positive"
            } else if !(upperSinkhornEpsilons + [sinkhornEpsilon]).allSatisfy({ $0 >= 0 && $0.isFinite })
                || sinkhornIterations < 1 || threads < 1
            {
                "an ε of Sinkhorn is negative, or its iterations or the threads are not positive"
            } else if upperSinkhornEpsilons.count >= levels {
                "\(upperSinkhornEpsilons.count) values of ε for the \(levels - 1) levels before the last"
            } else if !(optimizer.learningRate > 0) || !(optimizer.weightDecay >= 0)
                || ![alpha, beta, mu].allSatisfy({ $0 >= 0 && $0.isFinite })
            {
                "the learning rate must be positive, α, β, μ and the weight decay not negative"
            } else if [alphaWarmup, betaWarmup, reseedInterval, refitInterval, patience].contains(where: { $0 < 0 }) {
                "warm-ups, intervals of re-seeding and refits, and patience must not be negative"
            } else if warmupEpochs < 0 || decoderEpochs < 0 || quantisedEpochs < 1 || outerBatch < 1 {
                "of \(epochs) epochs \(warmupEpochs) are for the warm-up and \(decoderEpochs) for the decoder: at least "
                    + "one epoch must remain, and batches must be positive"
            } else if !(0...levels).contains(finalRefitLevel)
                || ![warmupWeight, latentPenalty].allSatisfy({ $0 >= 0 && $0.isFinite })
            {
                "the first level refitted at the end is 1 to \(levels), or 0; the warm-up's weights must not be negative"
            } else if patience > 0 && hasFinish {
                "patience chooses among epochs, but with a final refit or decoder epochs the last one is always kept"
            } else if !(0...1).contains(finalLearningRate) {
                "the final learning rate is a share from 0 to 1"
            } else {
                nil
            }
        if let wrong {
            throw TrainingError(
                .badSettings, "these settings cannot be trained with: \(wrong)", remedy: "Correct them.")
        }
    }
}

extension TrainingData {
    /// Reads everything once.
    ///
    /// - Throws: `tokenizer.bad_data` for data that cannot be trained on, and what reading throws.
    func check(_ settings: TrainingSettings) throws {
        func bad(_ what: String, _ remedy: String) -> TrainingError {
            TrainingError(.badData, what, remedy: remedy)
        }
        guard semantic.rows > 0, semantic.columns > 0 else {
            throw bad("there are no embeddings to train on", "Put items into the catalog first.")
        }
        try Self.forEachChunk(of: semantic) { range, rows in
            guard !rows.isFinite else { return }
            let row = range.first { !rows.row($0 - range.lowerBound).allSatisfy(\.isFinite) } ?? range.lowerBound
            throw bad("the embedding of row \(row) is not finite", "Remove the item or correct its embedding.")
        }
        guard let collaborative else { return }
        guard collaborative.rows == semantic.rows, mask.count == semantic.rows else {
            throw bad(
                "\(collaborative.rows) CF embeddings for \(semantic.rows) items",
                "Give one row for each item, and mark those that have none.")
        }
        guard collaborative.columns == settings.latentWidth else {
            throw bad(
                "CF embeddings of width \(collaborative.columns) for latents of width \(settings.latentWidth)",
                "Give CF embeddings of the latent's width, or change the latent's.")
        }
        try Self.forEachChunk(of: collaborative) { range, rows in
            let row = range.first { mask[$0] && !rows.row($0 - range.lowerBound).allSatisfy(\.isFinite) }
            if let row { throw bad("the CF embedding of row \(row) is not finite", "Remove or correct it.") }
        }
    }
}
