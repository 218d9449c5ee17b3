import Autodiff
package import Numerics
import Vocabulary

/// How far a training run has come: after every epoch.
package struct TrainingProgress: Sendable {
    /// The epoch that ended, counted from 1.
    package var epoch: Int
    /// Epochs to run.
    package var epochs: Int
    /// Means of the epoch's batches.
    package var losses: Losses
    /// (items − distinct natural identifiers) / items, where it was measured this epoch.
    package var collisionRate: Double?
    /// Seconds since the start.
    package var seconds: Double
}

/// Trains a tokenizer: encoder, decoder and codebooks, by AdamW on shuffled batches.
///
/// The same settings, data, machine and kernels give the same bytes. Which epoch is kept: every `evaluationInterval`
/// epochs of the second half, and after the last, the collision rate of natural identifiers is measured; the epoch with
/// the lowest is kept, and among equals the latest. (The first half is left out because a hardly trained tokenizer on
/// codebooks fresh from k-means may collide little and yet say little.)
///
/// Blocks its thread; not thread-safe.
package final class Trainer {
    private let settings: TrainingSettings
    private let scaling: InputScaling
    private let semantic: Matrix
    private let collaborative: Matrix?
    private let collaborativeMask: [Bool]
    private let embeddingModel: String?
    private var random: Random

    /// Most points that codebooks are started from.
    private static let initialPoints = 65_536

    /// Prepares a run.
    ///
    /// - Parameters:
    ///   - semantic: semantic embeddings as the catalog has them, (items, D).
    ///   - collaborative: CF embeddings (items, d), or nil for none.
    ///   - collaborativeMask: which items have a CF embedding; empty if all have.
    /// - Throws: `TokenizerFailure` (`tokenizer.bad_settings`, `tokenizer.bad_data`) for settings or data that cannot be
    ///   trained on.
    package init(
        _ settings: TrainingSettings, semantic: Matrix, collaborative: Matrix?, collaborativeMask: [Bool] = [],
        embeddingModel: String? = nil
    ) throws {
        try Self.check(settings)
        try Self.check(semantic, collaborative, collaborativeMask, settings)
        self.settings = settings
        scaling = settings.scaling ?? .unitVariance(width: semantic.columns)
        var scaled = semantic
        scaling.apply(to: &scaled)
        self.semantic = scaled
        self.collaborative = collaborative
        self.collaborativeMask =
            collaborative == nil
            ? [Bool](repeating: false, count: semantic.rows)
            : collaborativeMask.isEmpty ? [Bool](repeating: true, count: semantic.rows) : collaborativeMask
        self.embeddingModel = embeddingModel
        random = Random(seed: settings.seed)
    }

    /// Runs all epochs and returns the model of the epoch that is kept.
    ///
    /// - Parameter progress: called after every epoch; what it throws ends the run.
    /// - Throws: what `progress` throws; `TokenizerFailure` (`tokenizer.diverged`) if a loss is no longer finite.
    package func train(progress: (TrainingProgress) throws -> Void = { _ in }) throws -> TokenizerModel {
        let start = ContinuousClock.now
        func seconds() -> Double { (ContinuousClock.now - start) / .seconds(1) }
        let untrained = try TrainingNetwork.untrained(
            inputWidth: semantic.columns, settings: settings, scaling: .none, random: &random)
        let network = TrainingNetwork(untrained, settings: settings)
        BLAS.withThreads(settings.threads) { startCodebooks(network) }

        var order = Array(0..<semantic.rows)
        var step = 0
        var best: (model: TokenizerModel, figures: TrainingFigures)?
        for epoch in 1...settings.epochs {
            random.shuffle(&order)
            let losses = try BLAS.withThreads(settings.threads) { try runEpoch(network, order, &step, epoch: epoch) }
            let last = epoch == settings.epochs
            var rate: Double?
            if last || (2 * epoch > settings.epochs && epoch % settings.evaluationInterval == 0) {
                let model = try network.model(scaling: .none, provenance: ModelProvenance())
                let (collisionRate, used) = try measure(model)
                rate = collisionRate
                if collisionRate <= best?.figures.collisionRate ?? .infinity {
                    let figures = TrainingFigures(
                        items: semantic.rows, collaborativeItems: collaborativeMask.count(where: { $0 }), epoch: epoch,
                        epochs: epoch, collisionRate: collisionRate, losses: losses, codesUsed: used, seconds: seconds()
                    )
                    best = (model, figures)
                }
            }
            try progress(
                TrainingProgress(
                    epoch: epoch, epochs: settings.epochs, losses: losses, collisionRate: rate, seconds: seconds()))
        }
        guard var (model, figures) = best else {
            throw TokenizerFailure("bad_settings", .invalid, "no epoch was run", remedy: "Ask for one epoch or more.")
        }
        figures.epochs = settings.epochs
        figures.seconds = seconds()
        model.scaling = scaling
        model.provenance = ModelProvenance(
            embeddingModel: embeddingModel, createdBy: "letter, kernels \(BLASKernels.name)", seed: settings.seed,
            settings: settings, figures: figures)
        return model
    }

    /// All batches of one epoch, with clusters renewed first; means of the losses.
    private func runEpoch(
        _ network: TrainingNetwork, _ order: [Int], _ step: inout Int, epoch: Int
    ) throws -> Losses {
        let clusters = network.codebooks.map { book in
            CodeClusters(
                KMeans().cluster(
                    book.value, into: min(settings.clusters, settings.codesPerLevel), random: &random
                ).indices)
        }
        var sum = LossSum()
        for start in stride(from: 0, to: order.count, by: settings.batch) {
            let items = Array(order[start..<min(start + settings.batch, order.count)])
            let outcome = network.backward(batch(items)) { level, codes in
                codes.map { clusters[level].positive(of: $0, random: &random) }
            }
            guard outcome.losses.total.isFinite else {
                throw TokenizerFailure(
                    "diverged", .invalid, "the loss is \(outcome.losses.total) in epoch \(epoch)",
                    remedy: "Lower the learning rate, or check the scale of the embeddings.")
            }
            step += 1
            network.step(step)
            sum.add(outcome.losses, weight: Double(items.count))
        }
        return sum.mean
    }

    private func batch(_ items: [Int]) -> TrainingNetwork.Batch {
        var rows = Matrix()
        rows.gather(items, of: semantic)
        guard let collaborative else {
            return TrainingNetwork.Batch(semantic: rows, collaborative: Matrix(), kept: [])
        }
        let kept = items.indices.filter { collaborativeMask[items[$0]] }
        var targets = Matrix()
        targets.gather(kept.map { items[$0] }, of: collaborative)
        return TrainingNetwork.Batch(semantic: rows, collaborative: targets, kept: kept)
    }

    /// Codebooks from k-means on what the levels before leave of the untrained encoder's latents.
    private func startCodebooks(_ network: TrainingNetwork) {
        var sample = Array(0..<semantic.rows)
        if sample.count > Self.initialPoints {
            random.shuffle(&sample)
            sample.removeLast(sample.count - Self.initialPoints)
        }
        var residual = Matrix(rows: sample.count, columns: settings.latentWidth)
        for start in stride(from: 0, to: sample.count, by: settings.batch) {
            var rows = Matrix()
            rows.gather(Array(sample[start..<min(start + settings.batch, sample.count)]), of: semantic)
            residual.setRows(from: start, network.encode(rows).values[...])
        }
        for book in network.codebooks {
            let (centres, indices) = KMeans().cluster(residual, into: settings.codesPerLevel, random: &random)
            book.value = centres
            var chosen = Matrix()
            chosen.gather(indices, of: centres)
            residual.add(chosen, scaledBy: -1)
        }
    }

    /// Collision rate of natural identifiers, and the codes in use at each level.
    private func measure(_ model: TokenizerModel) throws -> (rate: Double, used: [Int]) {
        let codes = try FrozenEncoder(model: model).encode(semantic.values, count: semantic.rows).codes
        let levels = model.levels
        let identifiers = Set((0..<semantic.rows).map { codes[($0 * levels)..<(($0 + 1) * levels)] })
        let used = (0..<levels).map { level in
            Set(stride(from: level, to: codes.count, by: levels).map { codes[$0] }).count
        }
        return (Double(semantic.rows - identifiers.count) / Double(semantic.rows), used)
    }
}

// MARK: - Checks

extension Trainer {
    private static func check(_ settings: TrainingSettings) throws {
        let wrong: String? =
            if settings.hiddenWidths.contains(where: { $0 < 1 }) || settings.latentWidth < 1 {
                "a width is not positive"
            } else if !(1...8).contains(settings.levels) || !(1...65536).contains(settings.codesPerLevel) {
                "\(settings.levels) levels of \(settings.codesPerLevel) codes; 1 to 8 of 1 to 65,536 are possible"
            } else if settings.batch < 1 || settings.epochs < 1 || settings.evaluationInterval < 1
                || settings.clusters < 1
            {
                "batch, epochs, evaluation interval and clusters must be positive"
            } else if settings.sinkhornEpsilon < 0 || settings.sinkhornIterations < 1 || settings.threads < 1 {
                "Sinkhorn's ε is negative, or its iterations or the threads are not positive"
            } else if !(settings.optimizer.learningRate > 0) || settings.optimizer.weightDecay < 0
                || ![settings.alpha, settings.beta, settings.mu].allSatisfy({ $0 >= 0 && $0.isFinite })
            {
                "the learning rate must be positive, α, β, μ and the weight decay not negative"
            } else {
                nil
            }
        if let wrong {
            throw TokenizerFailure(
                "bad_settings", .invalid, "these settings cannot be trained with: \(wrong)", remedy: "Correct them.")
        }
    }

    private static func check(
        _ semantic: Matrix, _ collaborative: Matrix?, _ mask: [Bool], _ settings: TrainingSettings
    ) throws {
        func bad(_ what: String, _ remedy: String) -> TokenizerFailure {
            TokenizerFailure("bad_data", .invalid, what, remedy: remedy)
        }
        guard semantic.rows > 0, semantic.columns > 0 else {
            throw bad("there are no embeddings to train on", "Put items into the catalog first.")
        }
        if let row = (0..<semantic.rows).first(where: { !semantic.row($0).allSatisfy(\.isFinite) }) {
            throw bad("the embedding of row \(row) is not finite", "Remove the item or correct its embedding.")
        }
        guard let collaborative else { return }
        guard collaborative.rows == semantic.rows, mask.isEmpty || mask.count == semantic.rows else {
            throw bad(
                "\(collaborative.rows) CF embeddings for \(semantic.rows) items",
                "Give one row for each item, and mark those that have none.")
        }
        guard collaborative.columns == settings.latentWidth else {
            throw bad(
                "CF embeddings of width \(collaborative.columns) for latents of width \(settings.latentWidth)",
                "Give CF embeddings of the latent's width, or change the latent's.")
        }
        if let row = (0..<collaborative.rows).first(where: {
            (mask.isEmpty || mask[$0]) && !collaborative.row($0).allSatisfy(\.isFinite)
        }) {
            throw bad("the CF embedding of row \(row) is not finite", "Remove or correct it.")
        }
    }
}

/// Weighted sums of losses, in double.
private struct LossSum {
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
