import TokenizerTraining
import Autodiff
import Foundation
import Numerics
import Testing
import Tokenizer

/// Every gradient of every loss term against central differences of the formulas, in double and written out here again.
@Suite struct TrainingGradientTests {
    private static let levels = 3
    private static let codes = 6
    private static let items = 8

    /// A network's parameters in double: each is (rows, columns, values).
    private struct Values {
        var encoder: [(weight: [[Double]], bias: [Double])] = []
        var decoder: [(weight: [[Double]], bias: [Double])] = []
        var books: [[[Double]]] = []
    }

    /// Which terms count, each with its weight.
    struct Terms: Sendable, CustomTestStringConvertible {
        var name: String
        var alpha: Float = 0
        var beta: Float = 0
        var mu: Float = 0
        var flow = GradientFlow.asPublished
        var testDescription: String { name }
    }

    private static let all: [Terms] = [
        Terms(name: "reconstruction and codebook terms alone"),
        Terms(name: "commitment", mu: 2),
        Terms(name: "diversity", beta: 3),
        Terms(name: "collaborative, as published", alpha: 1),
        Terms(name: "collaborative, as the paper reads", alpha: 1, flow: .asPaperReads),
        Terms(name: "everything", alpha: 0.7, beta: 0.5, mu: 0.25),
        Terms(name: "everything, as the paper reads", alpha: 0.7, beta: 0.5, mu: 0.25, flow: .asPaperReads),
    ]

    private static func run(_ layers: [(weight: [[Double]], bias: [Double])], _ input: [Double]) -> [Double] {
        var x = input
        for (number, layer) in layers.enumerated() {
            x = layer.weight.indices.map { row in
                let y = zip(layer.weight[row], x).reduce(layer.bias[row]) { $0 + $1.0 * $1.1 }
                return number + 1 < layers.count ? max(0, y) : y
            }
        }
        return x
    }

    /// −log softmax(logits)[target], some left out.
    private static func crossEntropy(_ logits: [Double], _ target: Int, without: Int? = nil) -> Double {
        let kept = logits.indices.filter { $0 != without }
        let sum = kept.reduce(0.0) { $0 + exp(logits[$1]) }
        return log(sum) - logits[target]
    }

    /// The total loss of `live` parameters, where sg[…] is what `frozen` ones give.
    private static func total(
        _ live: Values, frozen: Values, _ batch: TrainingBatch, codes: [[Int]], positives: [[Int]],
        _ terms: Terms
    ) -> Double {
        var total = 0.0
        var quantised: [[Double]] = []
        let width = live.books[0][0].count
        for item in 0..<items {
            let input = batch.semantic.row(item).map(Double.init)
            let (z, still) = (run(live.encoder, input), run(frozen.encoder, input))
            var residual = still
            var (change, sum) = ([Double](repeating: 0, count: width), [Double](repeating: 0, count: width))
            for level in 0..<levels {
                let code = codes[level][item]
                let (e, fixed) = (live.books[level][code], frozen.books[level][code])
                for j in 0..<width {
                    let scale = 1 / Double(items * width * levels)
                    total += scale * (residual[j] - e[j]) * (residual[j] - e[j])
                    let r = level == 0 ? z[j] : residual[j]
                    total += scale * Double(terms.mu) * (r - fixed[j]) * (r - fixed[j])
                    residual[j] -= fixed[j]
                    sum[j] += fixed[j]
                    change[j] += e[j] - fixed[j]
                }
                if positives[level][item] >= 0 {
                    let logits = live.books[level].map { zip(e, $0).reduce(0.0) { $0 + $1.0 * $1.1 } }
                    let counted = positives[level].filter { $0 >= 0 }.count
                    total +=
                        Double(terms.beta) / Double(levels * counted)
                        * crossEntropy(logits, positives[level][item], without: code)
                }
            }
            let through = (0..<width).map { z[$0] + (sum[$0] - still[$0]) }
            quantised.append(terms.flow == .asPublished ? through : (0..<width).map { through[$0] + change[$0] })
            let output = run(live.decoder, through)
            for (a, b) in zip(output, input) { total += (a - b) * (a - b) / Double(items * input.count) }
        }
        for (row, item) in batch.kept.enumerated() {
            let logits = batch.kept.indices.map { other in
                zip(quantised[item], batch.collaborative.row(other)).reduce(0.0) { $0 + $1.0 * Double($1.1) }
            }
            total += Double(terms.alpha) / Double(batch.kept.count) * crossEntropy(logits, row)
        }
        return total
    }

    private static func values(_ network: TrainingNetwork) -> Values {
        var values = Values()
        func rows(_ matrix: Matrix) -> [[Double]] { (0..<matrix.rows).map { matrix.row($0).map(Double.init) } }
        let parameters = network.parameters
        for (number, parameter) in parameters.enumerated() where parameter.name.hasSuffix("weight") {
            let layer = (rows(parameter.value), rows(parameters[number + 1].value)[0])
            if parameter.name.hasPrefix("encoder") {
                values.encoder.append(layer)
            } else {
                values.decoder.append(layer)
            }
        }
        values.books = network.codebooks.map { rows($0.value) }
        return values
    }

    @Test("gradients agree with differences of the formulas", arguments: all) func gradients(terms: Terms) {
        var settings = TrainingSettings()
        settings.hiddenWidths = [7]
        (settings.latentWidth, settings.levels, settings.codesPerLevel) = (4, Self.levels, Self.codes)
        (settings.alpha, settings.beta, settings.mu) = (terms.alpha, terms.beta, terms.mu)
        settings.gradientFlow = terms.flow
        settings.sinkhornEpsilon = 0.05
        var random = Random(seed: 21)
        let network = TrainingNetwork(inputWidth: 5, settings: settings, random: &random)
        for parameter in network.parameters {
            parameter.value.add(
                random.normalMatrix(rows: parameter.value.rows, columns: parameter.value.columns, deviation: 0.4))
        }
        let kept = [0, 2, 3, 4, 7]
        let batch = TrainingBatch(
            semantic: random.normalMatrix(rows: Self.items, columns: 5, deviation: 1),
            collaborative: random.normalMatrix(rows: kept.count, columns: 4, deviation: 1), kept: kept)
        var positives: [[Int]] = []
        let outcome = QuantisedStage(network, settings).backward(batch, epoch: 1) { level, codes in
            positives.append(codes.enumerated().map { $0 == 1 ? -1 : ($1 + 1 + level) % Self.codes })
            return positives[level]
        }
        let frozen = Self.values(network)
        let total = Self.total(frozen, frozen: frozen, batch, codes: outcome.codes, positives: positives, terms)
        #expect(abs(total - Double(outcome.losses.total)) < 1e-5 * total)

        let step: Float = 0x1p-12
        var influence: [String: Float] = [:]
        for parameter in network.parameters {
            for index in parameter.value.values.indices {
                let (row, column) = (index / parameter.value.columns, index % parameter.value.columns)
                let before = parameter.value[row, column]
                func loss(_ value: Float) -> Double {
                    parameter.value[row, column] = value
                    defer { parameter.value[row, column] = before }
                    return Self.total(
                        Self.values(network), frozen: frozen, batch, codes: outcome.codes, positives: positives, terms)
                }
                let (above, below) = (before + step, before - step)
                let numeric = Float((loss(above) - loss(below)) / Double(above - below))
                let analytic = parameter.gradient[row, column]
                #expect(
                    abs(numeric - analytic) <= 1e-3 * max(0.02, abs(numeric)),
                    "\(parameter.name)[\(row), \(column)]: \(analytic), differences give \(numeric)")
                influence[parameter.name] = max(influence[parameter.name] ?? 0, abs(numeric))
            }
        }
        // A network without gradients must not pass.
        #expect(influence.values.allSatisfy { $0 > 1e-4 }, "\(influence)")
    }

    @Test("the collaborative gradient reaches codebooks only as the paper reads") func flow() {
        func gradients(_ flow: GradientFlow, alpha: Float) -> [Float] {
            var settings = TrainingSettings()
            settings.hiddenWidths = [7]
            (settings.latentWidth, settings.levels, settings.codesPerLevel) = (4, 2, 6)
            (settings.alpha, settings.beta, settings.gradientFlow) = (alpha, 0, flow)
            var random = Random(seed: 22)
            let network = TrainingNetwork(inputWidth: 5, settings: settings, random: &random)
            for book in network.codebooks { book.value.add(random.normalMatrix(rows: 6, columns: 4, deviation: 1)) }
            let batch = TrainingBatch(
                semantic: random.normalMatrix(rows: 6, columns: 5, deviation: 1),
                collaborative: random.normalMatrix(rows: 6, columns: 4, deviation: 1), kept: Array(0..<6))
            _ = QuantisedStage(network, settings).backward(batch, epoch: 1) { _, codes in codes.map { _ in -1 } }
            return network.codebooks.flatMap(\.gradient.values)
        }
        #expect(gradients(.asPublished, alpha: 1) == gradients(.asPublished, alpha: 0))
        #expect(gradients(.asPaperReads, alpha: 1) != gradients(.asPaperReads, alpha: 0))
    }
}
