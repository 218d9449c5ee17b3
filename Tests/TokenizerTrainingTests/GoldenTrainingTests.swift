import TokenizerFixtures
import TokenizerTraining
import Autodiff
import Files
import Foundation
import Numerics
import Testing
import Tokenizer
import Training

/// One batch through every loss, gradients, and three AdamW steps, against PyTorch.
@Suite struct GoldenTrainingTests {
    private struct Figures: Decodable {
        struct Step: Decodable {
            let reconstruction: Float
            let codebook: [Float]
            let commitment: [Float]
            let diversity: [Float]
            let collaborative: Float
            let total: Float
        }
        let alpha: Float
        let beta: Float
        let mu: Float
        let sinkhornEpsilon: Double
        let losses: [String: Step]

        enum CodingKeys: String, CodingKey {
            case alpha, beta, mu, losses
            case sinkhornEpsilon = "sinkhorn_epsilon"
        }
    }

    private static func model(_ file: Safetensors) throws -> TokenizerModel {
        func layers(_ network: String) throws -> [Layer] {
            try (0..<3).map {
                Layer(
                    weight: try Fixtures.matrix(file, "before.\(network).\($0).weight"),
                    bias: try Fixtures.matrix(file, "before.\(network).\($0).bias"))
            }
        }
        return try TokenizerModel(
            encoder: try layers("encoder"), decoder: try layers("decoder"),
            codebooks: try (0..<3).map { try Fixtures.matrix(file, "before.codebook.\($0)") })
    }

    private func close(_ got: [Float], _ expected: [Float], relative: Float, absolute: Float) -> Bool {
        got.count == expected.count
            && zip(got, expected).allSatisfy { abs($0 - $1) <= max(relative * abs($1), absolute) }
    }

    @Test("losses, gradients and three steps agree with PyTorch", arguments: ["small-nearest", "small-sinkhorn"])
    func steps(name: String) throws {
        let file = try Safetensors(path: Fixtures.path("\(name).safetensors"))
        let json = Data(try FileSystem.read(Fixtures.path("\(name).json"), limit: 1 << 20))
        let figures = try JSONDecoder().decode(Figures.self, from: json)
        var settings = TrainingSettings()
        (settings.alpha, settings.beta, settings.mu) = (figures.alpha, figures.beta, figures.mu)
        settings.sinkhornEpsilon = figures.sinkhornEpsilon
        settings.optimizer = AdamW(learningRate: 1e-2, weightDecay: 1e-2)
        let network = TrainingNetwork(try Self.model(file))
        let stage = QuantisedStage(network, settings)

        let kept = try file.integers("collaborative_mask").enumerated().filter { $0.element != 0 }.map(\.offset)
        var collaborative = Matrix()
        collaborative.gather(kept, of: try Fixtures.matrix(file, "collaborative"))
        let batch = TrainingBatch(
            semantic: try Fixtures.matrix(file, "semantic"), collaborative: collaborative, kept: kept)
        let clusters = try file.integers("clusters")
        func positives(_ level: Int, _ codes: [Int]) -> [Int] {
            codes.map { code in
                let mates = (0..<16).filter { clusters[level * 16 + $0] == clusters[level * 16 + code] }
                return mates[((mates.firstIndex(of: code) ?? 0) + 1) % mates.count]
            }
        }
        for step in 0..<3 {
            let outcome = stage.backward(batch, epoch: 1, positives: positives)
            let (got, expected) = (outcome.losses, try #require(figures.losses["step \(step)"]))
            let gotAll =
                got.codebook + got.commitment + got.diversity
                + [got.reconstruction, got.collaborative, got.total]
            let expectedAll =
                expected.codebook + expected.commitment + expected.diversity
                + [expected.reconstruction, expected.collaborative, expected.total]
            #expect(close(gotAll, expectedAll, relative: 1e-5, absolute: 0), "\(gotAll) \(expectedAll)")
            if step == 0 {
                let codes = (0..<24).flatMap { item in (0..<3).map { outcome.codes[$0][item] } }
                #expect(codes == (try file.integers("expected.codes")))
                #expect(close(outcome.latent.values, try file.floats("expected.z"), relative: 1e-5, absolute: 1e-6))
                #expect(
                    close(outcome.quantised.values, try file.floats("expected.z_hat"), relative: 1e-5, absolute: 1e-6))
                for parameter in network.parameters {
                    let gradient = try file.floats("gradient.\(parameter.name)")
                    #expect(
                        close(parameter.gradient.values, gradient, relative: 1e-4, absolute: 1e-6), "\(parameter.name)")
                }
            }
            stage.optimizer.step(learningRate: settings.optimizer.learningRate)
        }
        for parameter in network.parameters {
            let after = try file.floats("after.\(parameter.name)")
            #expect(close(parameter.value.values, after, relative: 1e-4, absolute: 1e-6), "\(parameter.name)")
        }
    }

    @Test("Sinkhorn's matrices and assignments are the golden ones", arguments: ["a", "b", "c"])
    func sinkhorn(name: String) throws {
        let file = try Safetensors(path: Fixtures.path("sinkhorn.safetensors"))
        // ε is stored in double, and Float would change the matrix: these are the numbers of the file.
        let epsilon = name == "c" ? 0.05 : 0.003
        #expect(try file.floats("\(name).epsilon") == [Float(epsilon)])
        let sinkhorn = Sinkhorn(epsilon: epsilon, iterations: try file.integers("\(name).iterations")[0])
        let distances = try Fixtures.matrix(file, "\(name).distances")
        #expect(sinkhorn.assign(distances) == (try file.integers("\(name).codes")))
        let balanced = sinkhorn.balance(distances)
        for (got, expected) in zip(balanced, try file.floats("\(name).q")) {
            #expect(abs(got - Double(expected)) <= 1e-6 * Double(expected) + 1e-12)
        }
        #expect(balanced.count == distances.values.count)
    }
}
