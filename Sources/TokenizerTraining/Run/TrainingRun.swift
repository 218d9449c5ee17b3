import Tokenizer
import Autodiff
import Numerics
import Core

/// A training run under way: the network, and all that decides how it goes on.
final class TrainingRun {
    let settings: TrainingSettings
    let data: TrainingData
    let network: TrainingNetwork
    var state: TrainingState
    /// The items in the order of this epoch; drawn from `state.orderRandom`.
    private var order: [Int] = []
    /// Cluster of each code, level by level; empty before the first epoch.
    private var clusters: [[Int]] = []
    private var drawers: [CodeClusters] = []
    /// How many items had each code in this epoch, level by level.
    private var usage: [[Int]]
    /// Values of the parameters in the epoch that is kept so far, by name.
    private var best: [String: Matrix] = [:]

    /// Most points, and most costs of assignments, that codebooks are started from; memory is 16 bytes a cost.
    private static let initialPoints = 65_536
    private static let initialCosts = 1 << 24
    /// Most codes whose clusters have bounds when codebooks are started: the flow needs 12 bytes for each pair.
    private static let boundedCodes = 4096

    init(_ settings: TrainingSettings, _ data: TrainingData) throws {
        self.settings = settings
        self.data = data
        var random = Random(seed: settings.seed)
        let untrained = try TrainingNetwork.untrained(
            inputWidth: data.semantic.columns, settings: settings, scaling: .none, random: &random)
        network = TrainingNetwork(untrained, settings: settings)
        state = TrainingState(random: random)
        usage = [[Int]](repeating: [Int](repeating: 0, count: settings.codesPerLevel), count: settings.levels)
    }

    var isFinished: Bool { state.isFinished || state.epoch > settings.epochs }

    /// Whether this epoch has batches that are not done.
    var hasBatches: Bool { state.batch * batchSize < data.items }

    /// What the epoch at work is for.
    private var stage: TrainingStage { settings.stage(epoch: state.epoch).stage }

    private var batchSize: Int { stage == .quantised ? settings.batch : settings.outerBatch }

    // MARK: - Epochs

    /// Draws the order and renews the clusters; where the epoch was begun before it was saved, only the order again.
    func beginEpoch() throws {
        if !state.isBegun {
            state.isBegun = true
            if state.epoch > 1, settings.stage(epoch: state.epoch).number == 1 { try beginStage() }
            if isTime(settings.refitInterval) {
                try startCodebooks()
                clusters = []
            } else if isTime(settings.reseedInterval) {
                try reseed()
            }
            for level in usage.indices { usage[level] = [Int](repeating: 0, count: settings.codesPerLevel) }
            state.losses = LossSum()
            if stage == .quantised { Parallel.withThreads(settings.threads) { renewClusters() } }
            state.orderRandom = state.random
            order = Self.order(data.items, &state.random)
        } else {
            var random = state.orderRandom
            order = Self.order(data.items, &random)
        }
        drawers = clusters.map(CodeClusters.init)
        let weights = settings.weights(epoch: state.epoch)
        (network.alpha, network.beta) = (weights.alpha, weights.beta)
        network.optimizer.learningRate = weights.learningRate
    }

    /// Whether what is done every so many epochs is due at the start of this one.
    private func isTime(_ interval: Int) -> Bool {
        let (stage, number, _) = settings.stage(epoch: state.epoch)
        return stage == .quantised && interval > 0 && number > 1 && (number - 1) % interval == 0
    }

    /// The border of two stages: AdamW begins anew, and after the warm-up the codebooks are started.
    private func beginStage() throws {
        for parameter in network.parameters {
            parameter.moments.first.fill(0)
            parameter.moments.second.fill(0)
        }
        state.step = 0
        if stage == .quantised { try startCodebooks() }
    }

    private static func order(_ items: Int, _ random: inout Random) -> [Int] {
        var order = Array(0..<items)
        random.shuffle(&order)
        return order
    }

    /// Clusters each level's codes, starting from the last epoch's clusters.
    private func renewClusters() {
        let count = min(settings.clusters, settings.codesPerLevel)
        let method = KMeans(sizes: ConstrainedAssignment.clusterSizes(codes: settings.codesPerLevel, count: count))
        clusters = network.codebooks.enumerated().map { level, book in
            clusters.isEmpty
                ? method.cluster(book.value, into: count, random: &state.random).indices
                : method.cluster(book.value, from: clusters[level], into: count).indices
        }
    }

    /// One batch: losses, gradients, a step.
    func runBatch() throws {
        let (stage, start) = (stage, state.batch * batchSize)
        let batch = try data.batch(Array(order[start..<min(start + batchSize, order.count)]))
        let outcome = Parallel.withThreads(settings.threads) {
            switch stage {
            case .warmup: network.backwardWarmup(batch)
            case .quantised:
                network.backward(batch) { level, codes in
                    codes.map { drawers[level].positive(of: $0, random: &state.random) }
                }
            case .decoder: network.backwardDecoder(batch)
            }
        }
        guard outcome.losses.total.isFinite else {
            throw TokenizerFailure(
                "diverged", .invalid, "the loss is \(outcome.losses.total) in epoch \(state.epoch)",
                remedy: "Lower the learning rate, or check the scale of the embeddings.")
        }
        state.step += 1
        Parallel.withThreads(settings.threads) { network.step(state.step, stage: stage) }
        state.losses.add(outcome.losses, weight: Double(batch.semantic.rows))
        for (level, codes) in outcome.codes.enumerated() {
            for code in codes { usage[level][code] += 1 }
        }
        state.batch += 1
    }

    /// Measures, where it is time to, and goes on to the next epoch.
    ///
    /// - Returns: means of the epoch's losses, and the collision rate if it was measured.
    func endEpoch() throws -> (losses: Losses, collisionRate: Double?) {
        let (epoch, losses) = (state.epoch, state.losses.mean)
        var rate: Double?
        if epoch == settings.warmupEpochs + settings.quantisedEpochs, settings.finalRefitLevel > 0 {
            try startCodebooks(from: settings.finalRefitLevel - 1, separating: settings.separatesLastLevels)
        }
        let mayChoose = !settings.hasFinish && stage == .quantised && 2 * epoch > settings.epochs
        if epoch == settings.epochs || (mayChoose && epoch % settings.evaluationInterval == 0) {
            let (collisionRate, used) = try measure()
            rate = collisionRate
            if collisionRate <= state.best?.collisionRate ?? .infinity {
                let isLower = collisionRate < state.best?.collisionRate ?? .infinity
                state.measurementsSinceBest = isLower ? 0 : state.measurementsSinceBest + 1
                state.best = TrainingFigures(
                    items: data.items, collaborativeItems: data.mask.reduce(0) { $1 ? $0 + 1 : $0 }, epoch: epoch,
                    epochs: epoch, collisionRate: collisionRate, losses: losses, codesUsed: used)
                best = Dictionary(uniqueKeysWithValues: network.parameters.map { ($0.name, $0.value) })
            } else {
                state.measurementsSinceBest += 1
            }
            state.best?.epochs = epoch
            state.isFinished = settings.patience > 0 && state.measurementsSinceBest >= settings.patience
        }
        state.epoch += 1
        (state.batch, state.isBegun) = (0, false)
        return (losses, rate)
    }

    /// The model of the epoch that is kept.
    func result(_ provenance: ModelProvenance) throws -> TokenizerModel {
        for parameter in network.parameters {
            if let value = best[parameter.name] { parameter.value = value }
        }
        var provenance = provenance
        provenance.figures = state.best
        return try network.model(scaling: data.scaling, provenance: provenance)
    }

    /// Collision rate of natural identifiers, and the codes in use at each level.
    private func measure() throws -> (rate: Double, used: [Int]) {
        let model = try network.model(scaling: data.scaling, provenance: ModelProvenance())
        let (encoder, levels) = (FrozenEncoder(model: model), settings.levels)
        var identifiers: [UInt128] = []
        identifiers.reserveCapacity(data.items)
        var used = [[Bool]](repeating: [Bool](repeating: false, count: settings.codesPerLevel), count: levels)
        try TrainingData.forEachChunk(of: data.semantic) { range, rows in
            let codes = try encoder.encode(rows.values, count: range.count).codes
            for row in 0..<range.count {
                var identifier: UInt128 = 0
                for level in 0..<levels {
                    let code = Int(codes[row * levels + level])
                    used[level][code] = true
                    identifier = identifier << 16 | UInt128(code)
                }
                identifiers.append(identifier)
            }
        }
        identifiers.sort()
        let repeated = zip(identifiers, identifiers.dropFirst()).reduce(0) { $1.0 == $1.1 ? $0 + 1 : $0 }
        return (Double(repeated) / Double(data.items), used.map { $0.reduce(0) { $1 ? $0 + 1 : $0 } })
    }
}

// MARK: - Codebooks

extension TrainingRun {
    /// Latents of some items by the encoder as it stands, (items, d).
    private func latents(_ items: [Int]) throws -> Matrix {
        var result = Matrix(rows: items.count, columns: settings.latentWidth)
        for start in stride(from: 0, to: items.count, by: settings.batch) {
            let rows = try data.scaled(Array(items[start..<min(start + settings.batch, items.count)]))
            result.setRows(from: start, network.encode(rows).values[...])
        }
        return result
    }

    /// Some items, all different, drawn where there are more than `count`.
    private func draw(_ count: Int) -> [Int] {
        guard data.items > count else { return Array(0..<data.items) }
        return Array(Self.order(data.items, &state.random).prefix(count))
    }

    /// Codebooks from constrained k-means on what the levels before leave of the encoder's latents, without moments.
    ///
    /// From at most 65,536 items, and fewer where there are more than 256 codes; with more than 4,096 codes, and where the
    /// settings say so, the clusters have no bounds.
    ///
    /// - Parameters:
    ///   - first: levels before this one stay as they are.
    ///   - separating: whether the last level is to tell items apart that the others do not.
    func startCodebooks(from first: Int = 0, separating: Bool = false) throws {
        let count = settings.codesPerLevel
        let isBounded = settings.boundsCodebooks && count <= Self.boundedCodes
        let items = draw(min(Self.initialPoints, isBounded ? Self.initialCosts / count : Self.initialPoints))
        try Parallel.withThreads(settings.threads) {
            var residual = try latents(items)
            let method =
                isBounded
                ? KMeans(sizes: ConstrainedAssignment.codebookSizes(points: items.count, count: count)) : KMeans()
            let books = network.codebooks
            // Levels that k-means alone makes; the separating ones, two at most, come after them.
            let plain = separating ? max(first, books.count - 2) : books.count
            var codes: [[Int]] = []
            for (level, book) in books[..<plain].enumerated() {
                var bounded: [Int]?
                if level >= first {
                    let (centres, indices) = method.cluster(residual, into: count, random: &state.random)
                    (book.value, bounded) = (centres, separating ? nil : indices)
                }
                codes.append(bounded ?? Nearest.rows(of: book.value, to: residual).indices)
                residual.subtract(rows: codes[level], of: book.value)
            }
            if plain < books.count {
                let fitted = SeparatingCodebook(below: codes)
                    .fit(residual, levels: books.count - plain, into: count, random: &state.random)
                for (book, level) in zip(books[plain...], fitted) { book.value = level.centres }
            }
            for book in books[first...] {
                book.moments.first.fill(0)
                book.moments.second.fill(0)
            }
        }
    }

    /// Moves codes that no item had in the last epoch to residuals of items drawn at random, and forgets their moments.
    private func reseed() throws {
        let items = draw(settings.batch)
        try Parallel.withThreads(settings.threads) {
            var residual = try latents(items)
            for (level, book) in network.codebooks.enumerated() {
                let dead = usage[level].indices.filter { usage[level][$0] == 0 }
                for (code, item) in zip(dead, 0..<items.count) {
                    book.value.setRows(from: code, residual.row(item))
                    let zeros = [Float](repeating: 0, count: settings.latentWidth)[...]
                    book.moments.first.setRows(from: code, zeros)
                    book.moments.second.setRows(from: code, zeros)
                }
                residual.subtract(rows: Nearest.rows(of: book.value, to: residual).indices, of: book.value)
            }
        }
    }
}

// MARK: - Checkpoints

extension TrainingRun {
    /// The run as it stands.
    func checkpoint(_ identity: TrainingCheckpoint.Identity) -> TrainingCheckpoint {
        var matrices: [String: Matrix] = [:]
        for parameter in network.parameters {
            matrices["value.\(parameter.name)"] = parameter.value
            matrices["first.\(parameter.name)"] = parameter.moments.first
            matrices["second.\(parameter.name)"] = parameter.moments.second
        }
        for (name, matrix) in best { matrices["best.\(name)"] = matrix }
        return TrainingCheckpoint(
            identity: identity, state: state, matrices: matrices, clusters: clusters, usage: usage)
    }

    /// Goes on where a checkpoint was made.
    ///
    /// - Throws: `TokenizerFailure` (`tokenizer.bad_checkpoint`) if it lacks something.
    func restore(_ checkpoint: TrainingCheckpoint, path: String) throws {
        func matrix(_ part: String, _ parameter: Parameter) throws -> Matrix {
            guard let matrix = checkpoint.matrices["\(part).\(parameter.name)"],
                matrix.rows == parameter.value.rows, matrix.columns == parameter.value.columns
            else {
                throw TokenizerFailure(
                    "bad_checkpoint", .invalid, "\(path) lacks '\(part).\(parameter.name)' of the right size",
                    remedy: "Remove it and train again.")
            }
            return matrix
        }
        for parameter in network.parameters {
            parameter.value = try matrix("value", parameter)
            parameter.moments.first = try matrix("first", parameter)
            parameter.moments.second = try matrix("second", parameter)
            if checkpoint.state.best != nil { best[parameter.name] = try matrix("best", parameter) }
        }
        let range = 0..<min(settings.clusters, settings.codesPerLevel)
        guard checkpoint.clusters.isEmpty || checkpoint.clusters.count == settings.levels,
            checkpoint.clusters.allSatisfy({ $0.allSatisfy { range.contains($0) } }),
            checkpoint.usage.count == settings.levels, checkpoint.state.epoch > 0, checkpoint.state.batch >= 0
        else {
            throw TokenizerFailure(
                "bad_checkpoint", .invalid, "\(path) has clusters or counts that cannot be",
                remedy: "Remove it and train again.")
        }
        (state, clusters, usage) = (checkpoint.state, checkpoint.clusters, checkpoint.usage)
    }
}
