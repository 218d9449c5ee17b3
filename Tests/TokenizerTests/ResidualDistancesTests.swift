import TokenizerFixtures
import Numerics
import Testing
import Tokenizer
import Core

@Suite struct ResidualDistancesTests {
    @Test("the distances are those of the residual, and the natural code is the nearest") func nearest() throws {
        let model = try Fixtures.frozen()
        var random = Random(seed: 3)
        let vectors = random.normalMatrix(rows: 50, columns: 384, deviation: 0.05).values
        let encoding = try FrozenEncoder(model: model).encode(vectors, count: 50)
        let distances = ResidualDistances(model: model)
        var found: [Float] = []
        for item in 0..<50 {
            let latent = encoding.latents[(item * 32)..<(item * 32 + 32)]
            var residual = latent.map(Double.init)
            var prefix = Identifier()
            for level in 0..<4 {
                try distances.distances(latent: latent, below: prefix, into: &found)
                #expect(found.count == 256)
                for code in 0..<256 {
                    let exact = zip(residual, model.codebooks[level].row(code)).reduce(0.0) {
                        $0 + ($1.0 - Double($1.1)) * ($1.0 - Double($1.1))
                    }
                    #expect(abs(Double(found[code]) - exact) <= 1e-5 * max(1, exact))
                }
                let code = encoding.codes[item * 4 + level]
                #expect(found[Int(code)] <= (found.min() ?? 0) + 1e-5)
                for (column, value) in model.codebooks[level].row(Int(code)).enumerated() {
                    residual[column] -= Double(value)
                }
                prefix.append(code)
            }
        }
    }

    @Test("a wrong width or prefix is refused") func wrong() throws {
        let distances = ResidualDistances(model: try Fixtures.frozen())
        var found: [Float] = []
        let latent = [Float](repeating: 0, count: 32)
        #expect(throws: TokenizerError.self) { try distances.distances(latent: [1], below: [], into: &found) }
        #expect(throws: TokenizerError.self) {
            try distances.distances(latent: latent[...], below: [256], into: &found)
        }
        #expect(throws: TokenizerError.self) {
            try distances.distances(latent: latent[...], below: [1, 2, 3, 4], into: &found)
        }
    }
}
