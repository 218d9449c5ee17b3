import TokenizerFixtures
import Files
import Foundation
import Numerics
import TestSupport
import Testing
import Tokenizer
import Core

@Suite struct ModelDirectoryTests {
    private func smallModel() throws -> TokenizerModel {
        var random = Random(seed: 2)
        let layer = Layer(
            weight: random.normalMatrix(rows: 2, columns: 3, deviation: 1), bias: Matrix(rows: 1, columns: 2, [1, 2]))
        let back = Layer(
            weight: random.normalMatrix(rows: 3, columns: 2, deviation: 1), bias: Matrix(rows: 1, columns: 3))
        let books = (0..<2).map { _ in random.normalMatrix(rows: 4, columns: 2, deviation: 1) }
        return try TokenizerModel(
            encoder: [layer], decoder: [back], codebooks: books, scaling: .unitVariance(width: 3),
            provenance: ModelProvenance(embeddingModel: "test \"model\"", seed: .max))
    }

    @Test("a model is read as it was written, and written with the same bytes each time") func roundTrip() throws {
        try withTemporaryDirectory { directory in
            let model = try smallModel()
            try ModelDirectory.write(model, to: "\(directory)/a")
            try ModelDirectory.write(model, to: "\(directory)/b")
            #expect(try ModelDirectory.load("\(directory)/a") == model)
            for name in ["tokenizer.safetensors", "manifest.json"] {
                let (a, b) = ("\(directory)/a/\(name)", "\(directory)/b/\(name)")
                #expect(try FileSystem.read(a, limit: 1 << 20) == FileSystem.read(b, limit: 1 << 20))
            }
            #expect(try FileSystem.list(directory) == ["a", "b"])
            #expect(throws: FilesError.self) { try ModelDirectory.write(model, to: "\(directory)/a") }
        }
    }

    @Test("an imported tokenizer has the expected widths") func imported() throws {
        let model = try Fixtures.frozen()
        #expect(model.inputWidth == 384 && model.latentWidth == 32 && model.levels == 4 && model.codesPerLevel == 256)
        #expect(model.hiddenWidths == [512, 256, 128, 64])
        #expect(model.decoder.isEmpty)
    }

    @Test(
        "a manifest that does not describe the weights is refused",
        arguments: [
            ("\"input_width\" : 3", "\"input_width\" : 4"), ("\"levels\" : 2", "\"levels\" : 3"),
            ("\"codes_per_level\" : 4", "\"codes_per_level\" : 5"), ("letter-model/1", "letter-model/2"),
            ("\"has_decoder\" : true", "\"has_decoder\" : false"), ("tokenizer.safetensors", "../x.safetensors"),
            ("\"factor\" : 1", "\"factor\" : -1"), ("{", "["), ("\"sha256\" : \"", "\"sha256\" : \"0"),
        ])
    func manifestEdits(from: String, to: String) throws {
        try withTemporaryDirectory { directory in
            try ModelDirectory.write(smallModel(), to: "\(directory)/a")
            let path = "\(directory)/a/manifest.json"
            let text = String(decoding: try FileSystem.read(path, limit: 1 << 20), as: UTF8.self)
            let range = try #require(text.firstRange(of: from))
            try FileSystem.replace(path, with: Array(text.replacingCharacters(in: range, with: to).utf8))
            #expect(throws: TokenizerError.self) { try ModelDirectory.load("\(directory)/a") }
        }
    }

    @Test("weights changed in any byte, cut short or missing are refused") func damagedWeights() throws {
        try withTemporaryDirectory { directory in
            try ModelDirectory.write(smallModel(), to: "\(directory)/a")
            let path = "\(directory)/a/tokenizer.safetensors"
            let whole = try FileSystem.read(path, limit: 1 << 20)
            for place in stride(from: 0, to: whole.count, by: 7) {
                var bytes = whole
                bytes[place] ^= 1
                try FileSystem.replace(path, with: bytes)
                #expect(throws: TokenizerError.self) { try ModelDirectory.load("\(directory)/a") }
            }
            try FileSystem.replace(path, with: whole.dropLast())
            #expect(throws: TokenizerError.self) { try ModelDirectory.load("\(directory)/a") }
            try FileSystem.replace(path, with: whole)
            #expect(try ModelDirectory.load("\(directory)/a").levels == 2)
            try FileSystem.removeTree(path)
            #expect(throws: FilesError.self) { try ModelDirectory.load("\(directory)/a") }
        }
    }

    @Test(
        "weights that are no tokenizer's are refused with what is wrong",
        arguments: [
            (["encoder.0.weight": [2, 3], "encoder.0.bias": [2]], "codebook.0"),
            (["codebook.0": [4, 2]], "encoder.0.weight"),
            (["encoder.0.weight": [2, 3], "codebook.0": [4, 2]], "encoder.0.bias"),
            (["encoder.0.weight": [2, 3], "encoder.0.bias": [2], "codebook.0": [4, 2], "other": [1]], "other"),
            (
                ["encoder.0.weight": [2, 3], "encoder.0.bias": [2], "codebook.0": [4, 2], "codebook.2": [4, 2]],
                "codebook.2"
            ),
            (["encoder.0.weight": [2, 3], "encoder.0.bias": [3], "codebook.0": [4, 2]], "biases"),
            (["encoder.0.weight": [2, 3], "encoder.0.bias": [2], "codebook.0": [4, 3]], "width"),
            (
                ["encoder.0.weight": [2, 3], "encoder.0.bias": [2], "codebook.0": [4, 2], "codebook.1": [5, 2]],
                "codebook 1"
            ),
            (["encoder.0.weight": [2, 3], "encoder.0.bias": [2], "codebook.0": [0, 2]], "0 codes"),
            (["encoder.0.weight": [2, 3, 1], "encoder.0.bias": [2], "codebook.0": [4, 2]], "3 dimensions"),
        ])
    func wrongTensors(shapes: [String: [Int]], named: String) throws {
        try withTemporaryDirectory { directory in
            var writer = SafetensorsWriter()
            for (name, shape) in shapes {
                writer.add(name, shape: shape, [Float](repeating: 0.5, count: shape.reduce(1, *)))
            }
            try FileSystem.replace("\(directory)/x.safetensors", with: writer.bytes())
            let failure = #expect(throws: TokenizerError.self) {
                try ModelDirectory.importWeights("\(directory)/x.safetensors")
            }
            #expect(failure?.message.contains(named) == true, "\(failure?.message ?? "")")
        }
    }
}
