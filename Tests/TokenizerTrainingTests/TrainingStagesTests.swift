import Autodiff
import Core
import Files
import Foundation
import Numerics
import TestSupport
import Testing
import Tokenizer
import TokenizerTraining
import Training

/// The stages before and after the paper's losses: their gradients, what they leave unchanged, and resuming within them.
@Suite struct TrainingStagesTests {
    private static let items = 8
    private static let kept = [0, 2, 3, 4, 7]

    private static func network(
        _ change: (inout TrainingSettings) -> Void = { _ in }
    ) -> (network: TrainingNetwork, settings: TrainingSettings, batch: TrainingBatch) {
        var settings = TrainingSettings()
        settings.hiddenWidths = [7]
        (settings.latentWidth, settings.levels, settings.codesPerLevel) = (4, 2, 6)
        (settings.alpha, settings.latentPenalty) = (0.7, 1.5)
        change(&settings)
        var random = Random(seed: 41)
        let network = TrainingNetwork(inputWidth: 5, settings: settings, random: &random)
        for parameter in network.parameters {
            parameter.value.add(
                random.normalMatrix(rows: parameter.value.rows, columns: parameter.value.columns, deviation: 0.4))
        }
        let batch = TrainingBatch(
            semantic: random.normalMatrix(rows: items, columns: 5, deviation: 1),
            collaborative: random.normalMatrix(rows: kept.count, columns: 4, deviation: 1), kept: kept)
        return (network, settings, batch)
    }

    /// Layers in double, written out here again.
    private static func run(_ parameters: [Parameter], _ network: String, _ input: [Double]) -> [Double] {
        let own = parameters.filter { $0.name.hasPrefix(network) }
        var x = input
        for number in stride(from: 0, to: own.count, by: 2) {
            let (weight, bias) = (own[number].value, own[number + 1].value)
            x = (0..<weight.rows).map { row in
                let y = zip(weight.row(row), x).reduce(Double(bias[0, row])) { $0 + Double($1.0) * $1.1 }
                return number + 2 < own.count ? max(0, y) : y
            }
        }
        return x
    }

    private static func squares(_ a: [Double], _ b: [Double]) -> Double {
        zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }

    /// Compares every gradient with central differences of a loss, and returns the greatest of each parameter.
    private static func compare(_ network: TrainingNetwork, _ loss: () -> Double) -> [String: Float] {
        let step: Float = 0x1p-12
        var influence: [String: Float] = [:]
        for parameter in network.parameters {
            influence[parameter.name] = 0
            for row in 0..<parameter.value.rows {
                for column in 0..<parameter.value.columns {
                    let before = parameter.value[row, column]
                    parameter.value[row, column] = before + step
                    let above = loss()
                    parameter.value[row, column] = before - step
                    let below = loss()
                    parameter.value[row, column] = before
                    let numeric = Float((above - below) / Double((before + step) - (before - step)))
                    let analytic = parameter.gradient[row, column]
                    #expect(
                        abs(numeric - analytic) <= 1e-3 * max(0.02, abs(numeric)),
                        "\(parameter.name)[\(row), \(column)]: \(analytic), differences give \(numeric)")
                    influence[parameter.name] = max(influence[parameter.name] ?? 0, abs(analytic))
                }
            }
        }
        return influence
    }

    @Test("gradients of the warm-up agree with differences, and codebooks have none") func warmupGradients() {
        let (network, settings, batch) = Self.network { $0.warmupWeight = 2.5 }
        func loss() -> Double {
            var (total, latents) = (0.0, [[Double]]())
            for item in 0..<Self.items {
                let input = batch.semantic.row(item).map(Double.init)
                latents.append(Self.run(network.parameters, "encoder", input))
                let output = Self.run(network.parameters, "decoder", latents[item])
                total += Self.squares(output, input) / Double(Self.items * 5)
            }
            for (row, item) in Self.kept.enumerated() {
                let logits = Self.kept.indices.map { other in
                    zip(latents[item], batch.collaborative.row(other)).reduce(0.0) { $0 + $1.0 * Double($1.1) }
                }
                let entropy = log(logits.reduce(0) { $0 + exp($1) }) - logits[row]
                let size = Self.squares(latents[item], [0, 0, 0, 0]) / 4
                total += 0.7 * 2.5 * (entropy + 1.5 * size) / Double(Self.kept.count)
            }
            return total
        }
        var random = Random(seed: 1)
        let outcome = WarmupStage(network, settings).backward(batch, epoch: 1, random: &random)
        #expect(abs(loss() - Double(outcome.losses.total)) < 1e-5 * loss())
        #expect(outcome.codes.isEmpty && outcome.losses.collaborative > 0)
        for (name, gradient) in Self.compare(network, loss) {
            #expect(name.hasPrefix("codebook") ? gradient == 0 : gradient > 1e-4, "\(name): \(gradient)")
        }
    }

    @Test("in the decoder's stage only the decoder has gradients, by natural codes") func decoderGradients() throws {
        let (network, settings, batch) = Self.network { $0.sinkhornEpsilon = 0.05 }
        let stage = DecoderStage(network, settings)
        var random = Random(seed: 1)
        let outcome = stage.backward(batch, epoch: 1, random: &random)
        // Natural codes, though training assigns by Sinkhorn.
        let model = try network.model(scaling: .none, provenance: ModelProvenance())
        let natural = try FrozenEncoder(model: model).encode(batch.semantic.values, count: Self.items).codes
        #expect((0..<Self.items).flatMap { [outcome.codes[0][$0], outcome.codes[1][$0]] } == natural.map { Int($0) })
        for item in 0..<Self.items {
            for column in 0..<4 {
                let sum = (0..<2).reduce(Float(0)) { $0 + network.codebooks[$1].value[outcome.codes[$1][item], column] }
                #expect(abs(outcome.quantised[item, column] - sum) < 1e-5)
            }
        }
        func loss() -> Double {
            (0..<Self.items).reduce(0) { total, item in
                let input = (0..<4).map { Double(outcome.quantised[item, $0]) }
                let output = Self.run(network.parameters, "decoder", input)
                return total
                    + Self.squares(output, batch.semantic.row(item).map(Double.init)) / Double(Self.items * 5)
            }
        }
        #expect(abs(loss() - Double(outcome.losses.total)) < 1e-5 * loss())
        // The codes are held fixed: of encoder and codebooks the loss written here does not depend.
        for (name, gradient) in Self.compare(network, loss) {
            #expect(name.hasPrefix("decoder") ? gradient > 1e-4 : gradient == 0, "\(name): \(gradient)")
        }
        let before = network.parameters.map(\.value)
        stage.optimizer.step(learningRate: 1e-3)
        for (parameter, value) in zip(network.parameters, before) {
            // Weight decay leaves frozen parameters alone too.
            #expect((parameter.value != value) == parameter.name.hasPrefix("decoder"), "\(parameter.name)")
        }
    }

    @Test("without CF embeddings the warm-up is reconstruction alone") func withoutCollaborative() {
        let (network, settings, batch) = Self.network()
        let plain = TrainingBatch(semantic: batch.semantic, collaborative: Matrix(), kept: [])
        var random = Random(seed: 1)
        let outcome = WarmupStage(network, settings).backward(plain, epoch: 1, random: &random)
        #expect(outcome.losses.total == outcome.losses.reconstruction && outcome.losses.collaborative == 0)
    }

    // MARK: - Runs

    private static var settings: TrainingSettings {
        var settings = TrainingSettings(.recommended, epochs: 6)
        settings.hiddenWidths = [16]
        (settings.latentWidth, settings.levels, settings.codesPerLevel, settings.clusters) = (6, 3, 16, 4)
        (settings.warmupEpochs, settings.decoderEpochs, settings.batch, settings.outerBatch) = (2, 2, 40, 30)
        settings.upperSinkhornEpsilons = [0.02, 0.02]
        settings.threads = 1
        return settings
    }

    @Test("a run stopped before any batch of any stage resumes to the same bytes") func resumes() throws {
        let (semantic, collaborative) = SmallRun.data(100, seed: 32)
        func trainer() throws -> Trainer {
            try Trainer(Self.settings, semantic: semantic, collaborative: collaborative)
        }
        try withTemporaryDirectory { directory in
            var stages: [TrainingStage] = []
            let whole = try SmallRun.bytes(trainer().train { stages.append($0.stage) }, directory, "whole")
            #expect(stages == [.warmup, .warmup, .quantised, .quantised, .decoder, .decoder])
            // 4 batches of 30 in each outer epoch, 3 of 40 in the others.
            try SmallRun.expectStoppedRunsToEnd(as: whole, batches: 22, directory, trainer: trainer)
        }
    }

    @Test("the decoder's epochs change the decoder alone, and lower the error") func finishing() throws {
        let (semantic, collaborative) = SmallRun.data(200, seed: 32)
        var settings = Self.settings
        (settings.epochs, settings.decoderEpochs) = (4, 0)
        let before = try Trainer(settings, semantic: semantic, collaborative: collaborative).train()
        (settings.epochs, settings.decoderEpochs) = (24, 20)
        var errors: [Float] = []
        let after = try Trainer(settings, semantic: semantic, collaborative: collaborative).train {
            if $0.stage == .decoder { errors.append($0.losses.reconstruction) }
        }
        #expect(after.encoder == before.encoder && after.codebooks == before.codebooks)
        #expect(after.decoder != before.decoder)
        #expect(errors.count == 20 && errors[19] < errors[0])
        #expect(after.provenance.figures?.epoch == 24)
    }

    @Test("separating codebooks separate near residuals, and not equal ones", arguments: [1, 2])
    func separates(levels: Int) {
        var random = Random(seed: 33)
        // 40 pairs, each much closer than pairs are to each other, of which four are equal.
        var points = random.normalMatrix(rows: 80, columns: 5, deviation: 1)
        for pair in 0..<40 {
            for column in 0..<5 {
                points[2 * pair + 1, column] = points[2 * pair, column] + (pair < 4 || column > 0 ? 0 : 0.01)
            }
        }
        let above = [[Int](repeating: 3, count: 80)]
        func identifiers(_ levels: [[Int]]) -> Int { Set((0..<80).map { item in levels.map { $0[item] } }).count }
        let fitted = SeparatingCodebook(below: above).fit(points, levels: levels, into: 128, random: &random)
        #expect(fitted.count == levels && fitted.allSatisfy { $0.centres.rows == 128 && $0.centres.isFinite })
        #expect(identifiers(fitted.map(\.indices)) == 76)
        // k-means alone, with codes for all pairs but not for all items, leaves pairs together.
        let plain = KMeans().cluster(points, into: 40, random: &random).indices
        #expect(identifiers([plain]) < 60)
    }

    @Test("pinned centres stay where they are, and the others move") func pinned() {
        var random = Random(seed: 34)
        let points = random.normalMatrix(rows: 60, columns: 3, deviation: 1)
        let (centres, indices) = KMeans().cluster(points, pinned: [7, 21], into: 5, random: &random)
        #expect(Array(centres.row(0)) == Array(points.row(7)) && Array(centres.row(1)) == Array(points.row(21)))
        #expect(indices[7] == 0 && indices[21] == 1 && Set(indices).count == 5)
        #expect(!(0..<60).contains { Array(points.row($0)) == Array(centres.row(4)) })
    }

    // MARK: - Settings

    @Test("recommended settings divide any number of epochs; published ones have one stage") func presets() throws {
        for epochs in 1...300 {
            let settings = TrainingSettings(.recommended, epochs: epochs)
            #expect(settings.epochs == epochs && settings.quantisedEpochs >= 1)
            let stages = (1...epochs).map { settings.stage(epoch: $0).stage }
            #expect(stages.filter { $0 == .warmup }.count == settings.warmupEpochs)
            #expect(stages.filter { $0 == .decoder }.count == settings.decoderEpochs)
            #expect(TrainingSettings(.published, epochs: epochs).quantisedEpochs == epochs)
        }
        #expect(TrainingSettings(.published) == TrainingSettings())
        let settings = TrainingSettings(.recommended)
        var random = Random(seed: 1)
        let network = TrainingNetwork(inputWidth: 5, settings: settings, random: &random)
        for stage in [WarmupStage(network, settings).learningRate, DecoderStage(network, settings).learningRate] {
            #expect(stage.value(1, of: 150) == 1e-3 && abs(stage.value(150, of: 150) - 2e-5) < 1e-12)
        }
        let quantised = QuantisedStage(network, settings)
        #expect(quantised.learningRate.value(20, of: 20) == 1e-3 && quantised.alpha.value(1) == settings.alpha)
    }

    @Test("stages that leave no epoch for the paper's losses, and what contradicts them, are refused")
    func refused() throws {
        let (semantic, collaborative) = SmallRun.data(20, seed: 32)
        _ = try Trainer(Self.settings, semantic: semantic, collaborative: collaborative)
        for change: (inout TrainingSettings) -> Void in [
            { $0.warmupEpochs = 4 }, { $0.decoderEpochs = -1 }, { $0.outerBatch = 0 }, { $0.finalRefitLevel = 4 },
            { $0.latentPenalty = -1 }, { $0.warmupWeight = .nan }, { $0.patience = 2 },
        ] {
            var settings = Self.settings
            change(&settings)
            let failure = #expect(throws: TrainingError.self) {
                try Trainer(settings, semantic: semantic, collaborative: collaborative)
            }
            #expect(failure?.code == "tokenizer.bad_settings")
        }
    }
}
