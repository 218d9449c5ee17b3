import Core
import Files
import Numerics
import TestSupport
import Testing
import Tokenizer
import TokenizerTraining
import Training

@Suite struct TrainingRequestTests {
    private static var settings: TrainingSettings {
        var settings = TrainingSettings()
        settings.hiddenWidths = [16]
        (settings.latentWidth, settings.levels, settings.codesPerLevel, settings.clusters) = (6, 2, 8, 4)
        (settings.batch, settings.epochs, settings.threads) = (40, 2, 1)
        return settings
    }

    @Test func `a run ends with the model in place and without a checkpoint`() throws {
        let (semantic, collaborative) = SmallRun.data(90, seed: 3)
        try withTemporaryDirectory { directory in
            let request = TrainingRequest(
                settings: Self.settings, output: "\(directory)/model/", checkpointInterval: 0, embeddingModel: "e/1")
            #expect(request.checkpoints.path == "\(directory)/model.checkpoint")
            try request.check()
            var (epochs, wasSaved) = ([Int](), false)
            let model = try request.run(
                reading: { TrainingInput(semantic: semantic, collaborative: collaborative) },
                progress: {
                    epochs.append($0.epoch)
                    wasSaved = wasSaved || FileSystem.exists(request.checkpoints.path)
                })
            #expect(epochs == [1, 2] && wasSaved)
            #expect(try ModelDirectory.load("\(directory)/model") == model)
            #expect(model.provenance.embeddingModel == "e/1")
            #expect(!FileSystem.exists(request.checkpoints.path))
        }
    }

    @Test func `an output or a checkpoint that exists is refused before anything is read`() throws {
        try withTemporaryDirectory { directory in
            var request = TrainingRequest(settings: Self.settings, output: "\(directory)/model")
            try request.check()
            try FileSystem.replace(request.checkpoints.path, with: [1])
            #expect(throws: TrainingError.self) { try request.check() }
            request.checkpoints.resume = true
            try request.check()
            try FileSystem.makeDirectory(request.output)
            let failure = #expect(throws: TrainingError.self) { try request.check() }
            #expect(failure?.code == "tokenizer.output_exists" && failure?.kind == .conflict)
        }
    }
}
