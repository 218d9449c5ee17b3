import Core
import Files
import Foundation
import Numerics
import TestSupport
import Testing
import Tokenizer
import TokenizerTraining
import Training

/// Checkpoints: a run that was stopped or killed resumes to the bytes of an uninterrupted one.
@Suite struct TrainingResumeTests {
    private static var settings: TrainingSettings {
        var settings = TrainingSettings()
        settings.hiddenWidths = [16]
        (settings.latentWidth, settings.levels, settings.codesPerLevel, settings.clusters) = (6, 3, 16, 4)
        (settings.batch, settings.epochs, settings.evaluationInterval) = (40, 6, 1)
        settings.upperSinkhornEpsilons = [0.02]
        (settings.alphaWarmup, settings.betaWarmup, settings.finalLearningRate) = (2, 1, 0.5)
        (settings.reseedInterval, settings.refitInterval) = (2, 3)
        settings.threads = 1
        return settings
    }

    @Test("a run stopped before any of its batches resumes to the same bytes, manifest included") func stopped() throws
    {
        let (semantic, collaborative) = SmallRun.data(150, seed: 31)
        func trainer() throws -> Trainer {
            try Trainer(Self.settings, semantic: semantic, collaborative: collaborative)
        }
        try withTemporaryDirectory { directory in
            let whole = try SmallRun.bytes(trainer().train(), directory, "whole")
            try SmallRun.expectStoppedRunsToEnd(as: whole, batches: 24, directory, trainer: trainer)
        }
    }

    @Test("every checkpoint of a run leads to the same bytes, as if it was killed right after it") func killed() throws
    {
        let (semantic, collaborative) = SmallRun.data(90, seed: 31)
        var settings = Self.settings
        settings.epochs = 3
        func trainer() throws -> Trainer {
            try Trainer(settings, semantic: semantic, collaborative: collaborative)
        }
        try withTemporaryDirectory { directory in
            let path = "\(directory)/checkpoint"
            var copies: [[UInt8]] = []
            let whole = try SmallRun.bytes(
                trainer().train(
                    checkpoints: CheckpointFile(path: path, interval: 0),
                    stop: {
                        if let bytes = try? FileSystem.read(path, limit: 1 << 24) { copies.append(bytes) }
                        return false
                    }), directory, "whole")
            #expect(copies.count == 8)
            for (number, copy) in copies.enumerated() {
                try FileSystem.replace(path, with: copy)
                let model = try trainer().train(checkpoints: CheckpointFile(path: path, resume: true))
                #expect(try SmallRun.bytes(model, directory, "m\(number)") == whole)
            }
            // It is the checkpoint that it resumes from: a changed one leads elsewhere.
            let text = try #require(String(bytes: copies[3], encoding: .isoLatin1))
            let changed = text.replacing(#""optimizer":"4""#, with: #""optimizer":"9""#)
            #expect(changed != text)
            try FileSystem.replace(path, with: Array(try #require(changed.data(using: .isoLatin1))))
            let other = try trainer().train(checkpoints: CheckpointFile(path: path, resume: true))
            #expect(try SmallRun.bytes(other, directory, "other")[0] != whole[0])
        }
    }

    @Test("a checkpoint of other settings or data, or a damaged one, is refused") func refused() throws {
        let (semantic, collaborative) = SmallRun.data(60, seed: 31)
        try withTemporaryDirectory { directory in
            let checkpoints = CheckpointFile(path: "\(directory)/checkpoint", interval: 0, resume: true)
            func code(_ settings: TrainingSettings, _ semantic: Matrix) throws -> String? {
                do {
                    _ = try Trainer(settings, semantic: semantic, collaborative: collaborative)
                        .train(checkpoints: checkpoints)
                    return nil
                } catch let failure as TrainingError {
                    return failure.code
                } catch let failure as FilesError {
                    return failure.code
                }
            }
            #expect(try code(Self.settings, semantic) == nil)
            var other = Self.settings
            other.seed = 2
            #expect(try code(other, semantic) == "tokenizer.checkpoint_mismatch")
            var moved = semantic
            moved[59, 11] += 1
            #expect(try code(Self.settings, moved) == "tokenizer.checkpoint_mismatch")
            let bytes = try FileSystem.read(checkpoints.path, limit: 1 << 24)
            for length in [0, 7, 100, bytes.count / 2, bytes.count - 1] {
                try FileSystem.replace(checkpoints.path, with: bytes[..<length])
                #expect(try code(Self.settings, semantic) == "files.damaged")
            }
        }
    }

    @Test("a run ends early when the collision rate has not fallen for so many measurements") func patience() throws {
        let (semantic, collaborative) = SmallRun.data(150, seed: 31)
        var settings = Self.settings
        settings.epochs = 200
        settings.patience = 3
        var rates: [Double] = []
        let model = try Trainer(settings, semantic: semantic, collaborative: collaborative).train {
            if let rate = $0.collisionRate { rates.append(rate) }
        }
        let figures = try #require(model.provenance.figures)
        #expect(figures.epochs < 200 && figures.epochs == 100 + rates.count)
        let least = try #require(rates.min())
        #expect(rates.firstIndex(of: least) == rates.count - 4, "\(rates)")
        #expect(figures.collisionRate == least)
    }

    @Test("a file trains as the matrix in it does") func file() throws {
        let (semantic, collaborative) = SmallRun.data(100, seed: 31)
        try withTemporaryDirectory { directory in
            try NumPyFile.write("\(directory)/s.npy", semantic.values, columns: 12)
            try NumPyFile.write("\(directory)/c.npy", collaborative.values, columns: 6)
            let (s, c) = (try NumPyFile("\(directory)/s.npy"), try NumPyFile("\(directory)/c.npy"))
            let one = try Trainer(Self.settings, semantic: s, collaborative: c).train()
            #expect(try one == Trainer(Self.settings, semantic: semantic, collaborative: collaborative).train())
        }
    }

    @Test("eight levels, many codes and few items; dead codes are moved when it is asked for") func shapes() throws {
        var settings = Self.settings
        (settings.levels, settings.epochs, settings.clusters) = (8, 2, 10)
        let (semantic, collaborative) = SmallRun.data(70, seed: 31)
        for codes in [1, 2, 300, 5000] {
            settings.codesPerLevel = codes
            let model = try Trainer(settings, semantic: semantic, collaborative: collaborative).train()
            #expect(model.levels == 8 && model.codesPerLevel == codes)
        }
        settings.codesPerLevel = 40
        settings.epochs = 4
        settings.reseedInterval = 1
        let moved = try Trainer(settings, semantic: semantic, collaborative: collaborative).train()
        settings.reseedInterval = 0
        let plain = try Trainer(settings, semantic: semantic, collaborative: collaborative).train()
        #expect(moved.codebooks != plain.codebooks)
        settings.refitInterval = 1
        let refitted = try Trainer(settings, semantic: semantic, collaborative: collaborative).train()
        #expect(refitted.codebooks != plain.codebooks)
    }

    @Test("weights rise and the learning rate falls as the settings say") func schedules() {
        var settings = TrainingSettings()
        (settings.epochs, settings.alphaWarmup, settings.betaWarmup) = (11, 3, 0)
        settings.finalLearningRate = 0.1
        var random = Random(seed: 1)
        let stage = QuantisedStage(
            TrainingNetwork(inputWidth: 5, settings: settings, random: &random), settings)
        #expect((1...5).map { (stage.alpha.value($0) / settings.alpha * 4).rounded() } == [1, 2, 3, 4, 4])
        #expect((1...11).allSatisfy { stage.beta.value($0) == settings.beta })
        #expect(stage.learningRate.value(1, of: 11) == 1e-3)
        #expect(abs(stage.learningRate.value(11, of: 11) - 1e-4) < 1e-12)
    }

    @Test("settings of an older manifest are read, and what they lack has its default") func manifest() throws {
        let old = #"{"hidden_widths":[8],"latent_width":4,"levels":2,"codes_per_level":16,"alpha":0.5,"seed":7}"#
        let settings = try JSONDecoder().decode(TrainingSettings.self, from: Data(old.utf8))
        #expect(settings.hiddenWidths == [8] && settings.seed == 7 && settings.gradientFlow == .asPublished)
        let all = try JSONDecoder().decode(TrainingSettings.self, from: JSONEncoder().encode(Self.settings))
        #expect(all == Self.settings)
    }
}
