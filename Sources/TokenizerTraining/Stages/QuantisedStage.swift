import Autodiff
import Layers
package import Numerics
import Tokenizer
package import Training

/// The stage of the paper's losses (LETTER, equations 3 to 6), on L levels:
///
///     mean (s − ŝ(ẑ))²
///     + (1/L) Σ over levels of (‖sg[r] − e‖² + μ ‖r − sg[e]‖² + β · diversity)
///     + α · mean over items with h of −log softmax_j ⟨ẑ_i, h_j⟩ [i]
///
/// with residuals r, their codes' embeddings e, squared norms as means over elements, and as diversity (5) the
/// cross-entropy of ⟨e, codebook⟩ against another code of the same cluster, the item's own code left out.
///
/// Gradient flow is "straight-through per level": residuals after level 1 carry no gradient, dẑ/dz = I, the commitment
/// reaches the encoder through level 1 alone, and codebooks move by the codebook and diversity terms; with
/// `GradientFlow.asPaperReads` by the collaborative term too.
package final class QuantisedStage: TokenizerStage {
    package let name = TrainingStage.quantised
    package let batchSize: Int
    package let learningRate: LinearDecay
    package let optimizer: AdamWOptimizer
    /// Weight α of the collaborative term over the epochs.
    package let alpha: LinearRamp
    /// Weight β of the diversity term over the epochs.
    package let beta: LinearRamp
    private let network: TrainingNetwork
    private let mu: Float
    /// 1/L: the mean over levels.
    private let share: Float
    private let gradientFlow: GradientFlow
    /// How each level's codes are assigned; nil for the nearest code.
    private let sinkhorn: [Sinkhorn?]
    private let fitting: CodebookFitting
    private let refitInterval: Int
    private let reseedInterval: Int
    private let finalRefitLevel: Int
    private let separatesLastLevels: Bool
    /// Clusters K of a level's codes.
    private let clusterCount: Int
    /// Cluster of each code, level by level; empty before the first epoch.
    private var clusters: [[Int]] = []
    private var drawers: [CodeClusters] = []
    /// How many items had each code in this epoch, level by level.
    private var usage: [[Int]]
    private var residual = Matrix()
    private var products = Matrix()

    package init(_ network: TrainingNetwork, _ settings: TrainingSettings) {
        self.network = network
        batchSize = settings.batch
        learningRate = LinearDecay(
            from: settings.optimizer.learningRate, finalShare: settings.finalLearningRate)
        optimizer = AdamWOptimizer(settings.optimizer, network.parameters)
        alpha = LinearRamp(to: settings.alpha, length: settings.alphaWarmup)
        beta = LinearRamp(to: settings.beta, length: settings.betaWarmup)
        mu = settings.mu
        gradientFlow = settings.gradientFlow
        let levels = network.codebooks.count
        share = 1 / Float(levels)
        sinkhorn = (0..<levels).map { level in
            let epsilon = settings.sinkhornEpsilon(level: level, of: levels)
            return epsilon > 0 ? Sinkhorn(epsilon: epsilon, iterations: settings.sinkhornIterations) : nil
        }
        fitting = CodebookFitting(network, settings)
        (refitInterval, reseedInterval) = (settings.refitInterval, settings.reseedInterval)
        (finalRefitLevel, separatesLastLevels) = (settings.finalRefitLevel, settings.separatesLastLevels)
        clusterCount = min(settings.clusters, network.codebooks[0].value.rows)
        usage = network.codebooks.map { [Int](repeating: 0, count: $0.value.rows) }
    }

    // MARK: - Losses

    package func backward(_ batch: TrainingBatch, epoch: Int, random: inout Random) -> BatchOutcome {
        let outcome = backward(batch, epoch: epoch) { level, codes in
            let drawer = drawers[level]
            return codes.map { drawer.positive(of: $0, random: &random) }
        }
        for (level, codes) in outcome.codes.enumerated() { Self.count(codes, in: &usage[level]) }
        return outcome
    }

    private static func count(_ codes: [Int], in usage: inout [Int]) {
        for code in codes { usage[code] += 1 }
    }

    /// The same with positives of the caller's.
    ///
    /// - Parameter positives: given a level and the codes of its items, a code for each from the others of its cluster;
    ///   a negative one leaves the item out of the diversity term.
    package func backward(
        _ batch: TrainingBatch, epoch: Int, positives: (Int, [Int]) -> [Int]
    ) -> BatchOutcome {
        network.beginBatch()
        let tape = network.tape
        let semantic = tape.constant(batch.semantic)
        let latent = network.encoder(semantic, on: tape)
        var (losses, terms) = (Losses(), [(Tape.Variable, Float)]())
        let (codes, sum) = quantise(latent, beta.value(epoch), &losses, &terms, positives)
        let quantised = tape.straightThrough(latent, to: sum)
        let reconstruction = tape.meanSquaredError(network.decoder(quantised, on: tape), semantic)
        terms.append((reconstruction, 1))
        losses.reconstruction = tape.scalar(reconstruction)
        if !batch.kept.isEmpty {
            // As the paper reads: the same value, and the gradient of the codes' embeddings too.
            let optimised =
                gradientFlow == .asPublished
                ? quantised : tape.weightedSum([(quantised, 1), (sum, 1), (tape.stopGradient(sum), -1)])
            let logits = tape.productTransposed(
                tape.gather(optimised, batch.kept), tape.constant(batch.collaborative))
            let collaborative = tape.crossEntropy(logits, targets: Array(batch.kept.indices))
            terms.append((collaborative, alpha.value(epoch)))
            losses.collaborative = tape.scalar(collaborative)
        }
        let total = tape.weightedSum(terms)
        // The commitment of the levels after the first has no gradient, so it is not on the tape.
        losses.total = tape.scalar(total) + mu * share * losses.commitment.dropFirst().reduce(0, +)
        tape.backward(from: total)
        return BatchOutcome(
            losses: losses, codes: codes, latent: tape.value(latent), quantised: tape.value(quantised))
    }

    /// Assigns codes level by level, and adds each level's terms.
    ///
    /// - Returns: the codes of each level, and the sum (B, d) of their embeddings.
    private func quantise(
        _ latent: Tape.Variable, _ beta: Float, _ losses: inout Losses, _ terms: inout [(Tape.Variable, Float)],
        _ positives: (Int, [Int]) -> [Int]
    ) -> (codes: [[Int]], sum: Tape.Variable) {
        let tape = network.tape
        var codes: [[Int]] = []
        var chosen: [(Tape.Variable, Float)] = []
        residual.copy(tape.value(latent))
        for (level, parameter) in network.codebooks.enumerated() {
            let levelCodes = assign(level)
            let book = tape.parameter(parameter)
            let embedding = tape.gather(book, levelCodes)
            let codebook = tape.meanSquaredError(embedding, tape.constant(residual))
            terms.append((codebook, share))
            losses.codebook.append(tape.scalar(codebook))
            // Only the first residual carries a gradient.
            if level == 0 {
                terms.append((tape.meanSquaredError(latent, tape.stopGradient(embedding)), mu * share))
            }
            let diversity = tape.crossEntropy(
                tape.productTransposed(embedding, book), targets: positives(level, levelCodes), excluded: levelCodes)
            terms.append((diversity, beta * share))
            losses.diversity.append(tape.scalar(diversity))
            codes.append(levelCodes)
            chosen.append((embedding, 1))
            residual.add(tape.value(embedding), scaledBy: -1)
        }
        losses.commitment = losses.codebook
        return (codes, tape.weightedSum(chosen))
    }

    /// The code of each residual: the nearest, or where Sinkhorn is set for the level, the balanced one.
    private func assign(_ level: Int) -> [Int] {
        let book = network.codebooks[level].value
        if let sinkhorn = sinkhorn[level] {
            residual.squaredDistances(to: book, into: &products)
            return sinkhorn.assign(products)
        }
        products.resize(rows: book.rows, columns: residual.rows)
        BLAS.multiply(book, residual, transposeB: true, alpha: -2, into: &products)
        var codes = [Int](repeating: 0, count: residual.rows)
        var margins = [Float](repeating: 0, count: residual.rows)
        Nearest.inColumns(products, offsets: book.squaredNorms(), codes: &codes, margins: &margins)
        return codes
    }

    // MARK: - Epochs

    /// Starts the codebooks from the latents of the current encoder.
    func begin(_ data: TrainingData, random: inout Random) throws { try fitting.fit(data, random: &random) }

    /// Refits or reseeds the codebooks where it is due, and renews the clusters of their codes.
    func beginEpoch(_ epoch: Int, _ data: TrainingData, random: inout Random) throws {
        func isDue(_ interval: Int) -> Bool { interval > 0 && epoch > 1 && (epoch - 1) % interval == 0 }
        if isDue(refitInterval) {
            try fitting.fit(data, random: &random)
            for book in network.codebooks { optimizer.forget(book) }
            clusters = []
        } else if isDue(reseedInterval) {
            try fitting.reseed(usage: usage, optimizer, data, random: &random)
        }
        for level in usage.indices { usage[level] = [Int](repeating: 0, count: usage[level].count) }
        renewClusters(&random)
    }

    /// Refits the last codebooks, if the settings say so.
    func end(_ data: TrainingData, random: inout Random) throws {
        guard finalRefitLevel > 0 else { return }
        try fitting.fit(data, from: finalRefitLevel - 1, separating: separatesLastLevels, random: &random)
    }

    /// Clusters each level's codes, starting from the last epoch's clusters.
    private func renewClusters(_ random: inout Random) {
        clusters = network.codebooks.enumerated().map { level, book in
            let sizes = ConstrainedAssignment.clusterSizes(codes: book.value.rows, count: clusterCount)
            let method = KMeans(sizes: sizes)
            return clusters.isEmpty
                ? method.cluster(book.value, into: clusterCount, random: &random).indices
                : method.cluster(book.value, from: clusters[level], into: clusterCount).indices
        }
        drawers = clusters.map(CodeClusters.init)
    }

    // MARK: - Checkpoints

    func save(to checkpoint: inout Checkpoint) {
        // Clusters and counts below 2²⁴ are exact as floats; of a greater count only matters that it is not zero.
        for (name, lists) in [("clusters", clusters), ("usage", usage)] {
            let width = usage[0].count
            checkpoint.set(name, Matrix(rows: lists.count, columns: width, lists.flatMap { $0.map(Float.init) }))
        }
    }

    func restore(from checkpoint: Checkpoint) throws {
        func lists(_ name: String, below limit: Float) throws -> [[Int]] {
            let matrix = try checkpoint.matrix(name, rows: usage.count, columns: usage[0].count)
            guard matrix.values.allSatisfy({ $0 >= 0 && $0 < limit }) else {
                throw CheckpointProblem("'\(name)' has values that cannot be")
            }
            return (0..<matrix.rows).map { matrix.row($0).map { Int($0) } }
        }
        clusters = try lists("clusters", below: Float(clusterCount))
        usage = try lists("usage", below: 0x1p62)
        drawers = clusters.map(CodeClusters.init)
    }
}
