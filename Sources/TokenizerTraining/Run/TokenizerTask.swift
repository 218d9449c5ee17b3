import Autodiff
import Numerics
import Tokenizer
import Training

/// A tokenizer under training, for a `TrainingLoop`: the network, its data, and the stage that the current epoch is in.
final class TokenizerTask: TrainingTask {
    typealias Reason = TrainingReason

    let network: TrainingNetwork
    /// The stage of the current epoch.
    private(set) var stage: any TokenizerStage
    private let settings: TrainingSettings
    private let data: TrainingData
    /// Number of the current epoch in its stage, counted from 1, and how many the stage has.
    private var place = (number: 1, count: 1)
    private var batch = TrainingBatch()

    init(_ settings: TrainingSettings, _ data: TrainingData, random: inout Random) {
        self.settings = settings
        self.data = data
        network = TrainingNetwork(inputWidth: data.semantic.columns, settings: settings, random: &random)
        stage = Self.stage(settings.stage(epoch: 1).stage, network, settings)
    }

    private static func stage(
        _ name: TrainingStage, _ network: TrainingNetwork, _ settings: TrainingSettings
    ) -> any TokenizerStage {
        switch name {
        case .warmup: WarmupStage(network, settings)
        case .quantised: QuantisedStage(network, settings)
        case .decoder: DecoderStage(network, settings)
        }
    }

    var parameters: [Parameter] { network.parameters }
    var examples: Int { data.items }
    var batchSize: Int { stage.batchSize }

    // MARK: - Epochs

    func beginEpoch(_ epoch: Int, random: inout Random) throws {
        let (name, number, count) = settings.stage(epoch: epoch)
        place = (number, count)
        if number == 1 {
            if epoch > 1 { stage = Self.stage(name, network, settings) }
            try stage.begin(data, random: &random)
        }
        try stage.beginEpoch(number, data, random: &random)
    }

    func train(_ examples: ArraySlice<Int>, random: inout Random) throws -> Losses {
        try data.read(Array(examples), into: &batch)
        let outcome = stage.backward(batch, epoch: place.number, random: &random)
        stage.optimizer.step(learningRate: stage.learningRate.value(place.number, of: place.count))
        return outcome.losses
    }

    func endEpoch(_ epoch: Int, random: inout Random) throws {
        if place.number == place.count { try stage.end(data, random: &random) }
    }

    /// Encodes all items by the current model. O(items · weights); 16 bytes an item.
    func measure() throws -> TokenizerMeasurement {
        let model = try network.model(scaling: data.scaling, provenance: ModelProvenance())
        let (encoder, levels) = (FrozenEncoder(model: model), model.levels)
        var identifiers: [UInt128] = []
        identifiers.reserveCapacity(data.items)
        var used = [[Bool]](repeating: [Bool](repeating: false, count: model.codesPerLevel), count: levels)
        var error = 0.0
        try TrainingData.forEachChunk(of: data.semantic) { range, rows in
            let encoding = try encoder.encode(rows.values, count: range.count)
            for row in 0..<range.count {
                var identifier: UInt128 = 0
                for level in 0..<levels {
                    let code = Int(encoding.codes[row * levels + level])
                    used[level][code] = true
                    identifier = identifier << 16 | UInt128(code)
                }
                identifiers.append(identifier)
                error += Double(encoding.quantisationErrors[row])
            }
        }
        identifiers.sort()
        let repeated = zip(identifiers, identifiers.dropFirst()).reduce(0) { $1.0 == $1.1 ? $0 + 1 : $0 }
        error /= Double(data.items)
        return TokenizerMeasurement(
            collisionRate: Double(repeated) / Double(data.items), codesUsed: used.map { $0.count { $0 } },
            quantisationError: error.isFinite ? error : nil)
    }

    // MARK: - Checkpoints

    func identity() throws -> TokenizerRunIdentity {
        TokenizerRunIdentity(
            settings: settings, scaling: data.scaling, items: data.items, width: data.semantic.columns,
            digest: try data.digest())
    }

    func save(to checkpoint: inout Checkpoint) throws {
        try stage.optimizer.save(to: &checkpoint)
        stage.save(to: &checkpoint)
    }

    func restore(from checkpoint: Checkpoint, epoch: Int) throws {
        let (name, number, count) = settings.stage(epoch: epoch)
        place = (number, count)
        stage = Self.stage(name, network, settings)
        try stage.optimizer.restore(from: checkpoint)
        try stage.restore(from: checkpoint)
    }
}

/// What a tokenizer's checkpoint must share with the run that resumes from it.
struct TokenizerRunIdentity: RunIdentity {
    var settings: TrainingSettings
    var scaling: InputScaling
    var items: Int
    var width: Int
    /// Digest of the embeddings (`TrainingData.digest`).
    var digest: UInt64

    func difference(from other: Self) -> String {
        settings != other.settings ? "settings" : scaling != other.scaling ? "input scaling" : "embeddings"
    }
}

/// What a tokenizer does with the items it is trained on. The epoch with the fewest collisions is best.
struct TokenizerMeasurement: TrainingMeasurement {
    /// (items − distinct natural identifiers) / items.
    var collisionRate: Double
    /// Codes in use at each level.
    var codesUsed: [Int]
    /// Mean over items of ‖r_L‖²; nil if it is not finite.
    var quantisationError: Double?

    var score: Double { collisionRate }
}
