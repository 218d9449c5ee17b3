import Numerics
import Testing
import Tokenizer
import TokenizerTraining
import Training

@Suite struct TrainerTests {
    /// Points around a few centres, and CF embeddings that know the centre too.
    private func data(_ items: Int) -> (semantic: Matrix, collaborative: Matrix) {
        var random = Random(seed: 12)
        let centres = random.normalMatrix(rows: 12, columns: 24, deviation: 1)
        let tastes = random.normalMatrix(rows: 12, columns: 8, deviation: 1)
        var semantic = random.normalMatrix(rows: items, columns: 24, deviation: 0.3)
        var collaborative = random.normalMatrix(rows: items, columns: 8, deviation: 0.3)
        for item in 0..<items {
            for j in 0..<24 { semantic[item, j] += centres[item % 12, j] }
            for j in 0..<8 { collaborative[item, j] += tastes[item % 12, j] }
        }
        return (semantic, collaborative)
    }

    private var settings: TrainingSettings {
        var settings = TrainingSettings()
        settings.hiddenWidths = [32, 16]
        settings.latentWidth = 8
        settings.levels = 3
        settings.codesPerLevel = 16
        settings.clusters = 4
        settings.batch = 64
        settings.epochs = 60
        settings.evaluationInterval = 10
        settings.optimizer.learningRate = 3e-3
        settings.threads = 1
        return settings
    }

    @Test("training lowers the loss, and identifiers separate the clusters of the data") func learns() throws {
        let (semantic, collaborative) = data(400)
        var seen: [TrainingProgress] = []
        let trainer = try Trainer(settings, semantic: semantic, collaborative: collaborative)
        let model = try trainer.train { seen.append($0) }
        #expect(seen.map(\.epoch) == Array(1...60))
        #expect(seen[59].losses.total < 0.5 * seen[0].losses.total)
        #expect(seen[59].losses.collaborative < seen[0].losses.collaborative)
        #expect(seen.filter { $0.collisionRate != nil }.map(\.epoch) == [40, 50, 60])
        let figures = try #require(model.provenance.figures)
        #expect(figures.collisionRate == seen.compactMap(\.collisionRate).min())
        #expect(figures.codesUsed[0] >= 8)
        #expect(model.decoder.count == 3 && model.scaling.unitLength)
        // What serving says of the data is what training measured.
        let codes = try FrozenEncoder(model: model).encode(semantic.values, count: 400).codes
        let items = Dictionary(grouping: 0..<400) { Array(codes[($0 * 3)..<($0 * 3 + 3)]) }
        #expect(abs(Double(400 - items.count) / 400 - figures.collisionRate) < 1e-9)
        let errors = try FrozenEncoder(model: model).encode(semantic.values, count: 400).quantisationErrors
        let mean = errors.reduce(0) { $0 + Double($1) } / 400
        #expect(abs(try #require(figures.quantisationError) - mean) < 1e-12 && mean > 0)
        // Items that share an identifier share the centre they were made around.
        let pure = items.values.reduce(0) { total, group in
            total + (Dictionary(grouping: group) { $0 % 12 }.values.map(\.count).max() ?? 0)
        }
        #expect(pure > 360, "\(pure) of 400")
    }

    @Test("the same seed gives the same model, another seed another") func seeds() throws {
        let (semantic, collaborative) = data(150)
        func train(_ seed: UInt64) throws -> TokenizerModel {
            var settings = settings
            settings.seed = seed
            settings.epochs = 3
            var model = try Trainer(settings, semantic: semantic, collaborative: collaborative).train()
            model.provenance = ModelProvenance()
            return model
        }
        let (one, same, other) = (try train(5), try train(5), try train(6))
        #expect(one == same)
        #expect(one != other)
    }

    @Test("items may lack CF embeddings, all of them even, and NaN there does no harm") func masks() throws {
        let (semantic, collaborative) = data(100)
        var settings = settings
        settings.epochs = 2
        var broken = collaborative
        broken[3, 0] = .nan
        var mask = [Bool](repeating: true, count: 100)
        mask[3] = false
        let model = try Trainer(settings, semantic: semantic, collaborative: broken, collaborativeMask: mask).train()
        #expect(model.provenance.figures?.collaborativeItems == 99)
        let none = try Trainer(settings, semantic: semantic, collaborative: nil).train()
        #expect(none.provenance.figures?.losses.collaborative == 0)
        #expect(throws: TrainingError.self) {
            try Trainer(settings, semantic: semantic, collaborative: broken)
        }
    }

    @Test("fewer items than codes, equal items and a single item can be trained on", arguments: [1, 2, 5, 17])
    func few(items: Int) throws {
        var settings = settings
        settings.epochs = 2
        for equal in [false, true] {
            var (semantic, collaborative) = data(items)
            if equal {
                semantic = Matrix(rows: items, columns: 24, [Float](repeating: 0.5, count: items * 24))
                collaborative = Matrix(rows: items, columns: 8)
            }
            let model = try Trainer(settings, semantic: semantic, collaborative: collaborative).train()
            #expect(model.codesPerLevel == 16)
        }
    }

    @Test("data and settings that cannot be trained on are refused") func refused() throws {
        let (semantic, collaborative) = data(10)
        var bad = semantic
        bad[2, 2] = .infinity
        #expect(throws: TrainingError.self) { try Trainer(settings, semantic: bad, collaborative: nil) }
        #expect(throws: TrainingError.self) { try Trainer(settings, semantic: Matrix(), collaborative: nil) }
        #expect(throws: TrainingError.self) { try Trainer(settings, semantic: semantic, collaborative: semantic) }
        for change: (inout TrainingSettings) -> Void in [
            { $0.levels = 9 }, { $0.epochs = 0 }, { $0.batch = 0 }, { $0.alpha = .nan }, { $0.hiddenWidths = [0] },
            { $0.optimizer.learningRate = 0 }, { $0.sinkhornEpsilon = -1 },
        ] {
            var settings = settings
            change(&settings)
            #expect(throws: TrainingError.self) {
                try Trainer(settings, semantic: semantic, collaborative: collaborative)
            }
        }
        #expect(throws: CancellationError.self) {
            try Trainer(settings, semantic: semantic, collaborative: nil).train { _ in throw CancellationError() }
        }
    }

    @Test("k-means finds well-separated clusters with any seed", arguments: 1...5 as ClosedRange<UInt64>)
    func kMeans(seed: UInt64) {
        var random = Random(seed: seed)
        var points = random.normalMatrix(rows: 90, columns: 4, deviation: 0.01)
        for row in 0..<90 { points[row, row % 3] += 10 }
        let (centres, indices) = KMeans().cluster(points, into: 3, random: &random)
        #expect(Set(indices).count == 3)
        for row in 0..<90 {
            #expect(indices[row] == indices[row % 3])
            #expect(abs(centres[indices[row], row % 3] - 10) < 0.1)
        }
    }
}
