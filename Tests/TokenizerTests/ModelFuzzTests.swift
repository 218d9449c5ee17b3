import Files
import Foundation
import Numerics
import TestSupport
import Testing
import Tokenizer
import Core

/// Model files changed at random: each is refused with a `Failure` or gives a valid model, without a crash.
@Suite(.serialized) struct ModelFuzzTests {
    /// Each seed gives a thousand other files.
    private static let seeds: [UInt64] = [1, 2, 3, 4]
    private static let rounds = 1000
    /// If fewer changed files than this gave a model, the changes would be too strong to test anything behind the parser.
    private static let leastValid = 10

    private func smallModel() throws -> TokenizerModel {
        var random = Random(seed: 5)
        func layer(_ input: Int, _ output: Int) -> Layer {
            Layer(
                weight: random.normalMatrix(rows: output, columns: input, deviation: 1),
                bias: Matrix(rows: 1, columns: output))
        }
        let settings = JSONValue.object([
            "alpha": .number(0.02), "hidden_widths": .array([.integer(3)]), "input_scaling": .null, "seed": .integer(7),
            "gradient_flow": .string("as_published"), "bounds_codebooks": .bool(true),
        ])
        return try TokenizerModel(
            encoder: [layer(4, 3), layer(3, 2)], decoder: [layer(2, 4)],
            codebooks: (0..<2).map { _ in random.normalMatrix(rows: 5, columns: 2, deviation: 1) },
            scaling: .unitVariance(width: 4),
            provenance: ModelProvenance(embeddingModel: "a \"model\"", seed: 7, settings: settings))
    }

    /// A file of weights with the published names.
    private func publishedWeights() -> [UInt8] {
        var writer = SafetensorsWriter()
        for (name, shape) in [
            ("encoder.mlp_layers.1.weight", [3, 4]), ("encoder.mlp_layers.1.bias", [3]),
            ("encoder.mlp_layers.4.weight", [2, 3]), ("encoder.mlp_layers.4.bias", [2]),
            ("rq.vq_layers.0.embedding.weight", [5, 2]), ("rq.vq_layers.1.embedding.weight", [5, 2]),
        ] {
            writer.add(name, shape: shape, [Float](repeating: 0.5, count: shape.reduce(1, *)))
        }
        return writer.bytes()
    }

    // MARK: - Changes

    /// Makes one or two changes: other bytes, removed and repeated ranges, and pieces of JSON that parsers often get wrong.
    /// Half of the changes are made in `text`, the range of the file that is JSON.
    private func mutated(_ original: [UInt8], text: Range<Int>, _ random: inout Random) -> [UInt8] {
        let pieces = [
            "-1", "0", "1e999", "-0.5", "9223372036854775807", "18446744073709551616", "null", "true", "[]", "{}", "\"",
            "\\u0000", "\\ud800", "[[[[[[[[", "NaN", "F16", "BF16", "F64", "I64", "U8", "BOOL", "codebook.0",
            "__metadata__", ",", ":", "\u{FEFF}", "1", "255", "4294967296",
        ]
        var bytes = original
        for _ in 0...random.index(below: 2) where !bytes.isEmpty {
            let inText = random.index(below: 2) == 0
            let range = inText ? text.clamped(to: 0..<bytes.count) : 0..<bytes.count
            guard !range.isEmpty else { continue }
            let start = range.lowerBound + random.index(below: range.count)
            let end = min(bytes.count, start + 1 + random.index(below: 24))
            switch random.index(below: 9) {
            case 0: bytes[start] ^= UInt8(1 << random.index(below: 8))
            case 1: bytes[start] = UInt8(random.index(below: 256))
            case 2: bytes[start] = Array("0123456789-{}[],:\"\\. eE".utf8)[random.index(below: 23)]
            case 3: bytes.removeLast(bytes.count - start)
            case 4: bytes.removeSubrange(start..<end)
            case 5: bytes.insert(contentsOf: bytes[start..<end], at: start)
            case 6: bytes.insert(contentsOf: pieces[random.index(below: pieces.count)].utf8, at: start)
            case 7: bytes.replaceSubrange(start..<end, with: pieces[random.index(below: pieces.count)].utf8)
            default:
                // The length of a safetensors header, or the first bytes of a manifest.
                for index in 0..<min(8, bytes.count) where random.index(below: 4) == 0 {
                    bytes[index] = UInt8(random.index(below: 256))
                }
            }
        }
        return bytes
    }

    /// Changes a safetensors file. In half of the cases only the header is changed and its length is corrected, so that its
    /// contents are parsed.
    private func mutatedWeights(_ whole: [UInt8], _ random: inout Random) -> [UInt8] {
        let header = header(of: whole)
        guard random.index(below: 2) == 0 else { return mutated(whole, text: header, &random) }
        let text = mutated(Array(whole[header]), text: 0..<header.count, &random)
        return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text + whole[header.upperBound...]
    }

    /// Whether loading gave a model, which must be valid; an error other than a `Failure` is an issue.
    private func survives(_ note: String, _ load: () throws -> TokenizerModel) -> Bool {
        do {
            let model = try load()
            let matrices = (model.encoder + model.decoder).flatMap { [$0.weight, $0.bias] } + model.codebooks
            let finite = matrices.allSatisfy { $0.isFinite }
            #expect(finite, "\(note)")
            #expect(model.scaling.factor.isFinite && model.scaling.factor > 0, "\(note)")
            let vector = [Float](repeating: 0.25, count: model.inputWidth)
            let encoding = try FrozenEncoder(model: model).encode(vector, count: 1)
            #expect(encoding.codes.allSatisfy { Int($0) < model.codesPerLevel }, "\(note)")
            return true
        } catch let failure as any Failure {
            #expect(!failure.message.isEmpty && !failure.remedy.isEmpty, "\(note)")
            return false
        } catch {
            Issue.record("\(note): \(error) is no Failure")
            return false
        }
    }

    /// The range of the header in a safetensors file.
    private func header(of bytes: [UInt8]) -> Range<Int> {
        8..<(8 + bytes[..<4].enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) })
    }

    // MARK: - Tests

    @Test("changed weights are refused or give a valid model", arguments: seeds) func weights(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            try ModelDirectory.write(smallModel(), to: "\(directory)/m")
            let whole = try FileSystem.read("\(directory)/m/tokenizer.safetensors", limit: 1 << 20)
            let path = "\(directory)/x.safetensors"
            var random = Random(seed: seed)
            var valid = 0
            for round in 0..<Self.rounds {
                let bytes = mutatedWeights(whole, &random)
                try Data(bytes).write(to: URL(filePath: path))
                if survives("seed \(seed), round \(round)", { try ModelDirectory.importWeights(path) }) { valid += 1 }
            }
            #expect(valid > Self.leastValid && valid < Self.rounds / 2, "\(valid) of \(Self.rounds) are valid")
        }
    }

    @Test("changed weights of published names are refused or give a valid model", arguments: seeds)
    func published(seed: UInt64) throws {
        let whole = publishedWeights()
        var random = Random(seed: seed)
        var valid = 0
        for round in 0..<Self.rounds {
            let bytes = mutatedWeights(whole, &random)
            let load = { try PublishedImport.model(Safetensors(bytes, path: "x")) }
            if survives("seed \(seed), round \(round)", load) { valid += 1 }
        }
        #expect(valid > Self.leastValid && valid < Self.rounds / 2, "\(valid) of \(Self.rounds) are valid")
    }

    @Test("a changed manifest is refused or gives the same network", arguments: seeds) func manifest(seed: UInt64)
        throws
    {
        try withTemporaryDirectory { directory in
            let model = try smallModel()
            try ModelDirectory.write(model, to: "\(directory)/m")
            let path = "\(directory)/m/manifest.json"
            let whole = try FileSystem.read(path, limit: 1 << 20)
            var random = Random(seed: seed)
            var valid = 0
            for round in 0..<Self.rounds {
                try Data(mutated(whole, text: 0..<whole.count, &random)).write(to: URL(filePath: path))
                let load = {
                    let loaded = try ModelDirectory.load("\(directory)/m")
                    #expect(loaded.encoder == model.encoder && loaded.codebooks == model.codebooks)
                    return loaded
                }
                if survives("seed \(seed), round \(round)", load) { valid += 1 }
            }
            #expect(valid > 0 && valid < Self.rounds / 2, "\(valid) of \(Self.rounds) are valid")
        }
    }

    @Test("weights changed under an unchanged manifest are always refused", arguments: seeds)
    func underManifest(seed: UInt64) throws {
        try withTemporaryDirectory { directory in
            try ModelDirectory.write(smallModel(), to: "\(directory)/m")
            let path = "\(directory)/m/tokenizer.safetensors"
            let whole = try FileSystem.read(path, limit: 1 << 20)
            var random = Random(seed: seed)
            for round in 0..<(Self.rounds / 4) {
                let bytes = mutatedWeights(whole, &random)
                guard bytes != whole else { continue }
                try Data(bytes).write(to: URL(filePath: path))
                #expect(!survives("seed \(seed), round \(round)") { try ModelDirectory.load("\(directory)/m") })
            }
            try Data(whole).write(to: URL(filePath: path))
            #expect(survives("unchanged") { try ModelDirectory.load("\(directory)/m") })
        }
    }

    @Test("a file cut off at any byte is refused") func truncated() throws {
        try withTemporaryDirectory { directory in
            try ModelDirectory.write(smallModel(), to: "\(directory)/m")
            for name in ["tokenizer.safetensors", "manifest.json"] {
                let path = "\(directory)/m/\(name)"
                let whole = try FileSystem.read(path, limit: 1 << 20)
                // The manifest's last byte ends its last line; without it the JSON is whole.
                for length in 0..<(whole.count - 1) {
                    try Data(whole[..<length]).write(to: URL(filePath: path))
                    #expect(!survives("\(name) cut to \(length)") { try ModelDirectory.load("\(directory)/m") })
                    guard name == "tokenizer.safetensors" else { continue }
                    #expect(!survives("\(name) cut to \(length)") { try ModelDirectory.importWeights(path) })
                }
                try Data(whole).write(to: URL(filePath: path))
            }
            #expect(survives("whole") { try ModelDirectory.load("\(directory)/m") })
        }
    }

    @Test(
        "a megabyte of brackets, quotes or digits in place of JSON is refused",
        arguments: ["[", "{\"a\":", "\"", "1", "{\"__metadata__\":{\"a\":", "\\", " "])
    func monsters(piece: String) throws {
        try withTemporaryDirectory { directory in
            try ModelDirectory.write(smallModel(), to: "\(directory)/m")
            let text = Array(String(repeating: piece, count: 1_000_000 / piece.utf8.count).utf8)
            try Data(text).write(to: URL(filePath: "\(directory)/m/manifest.json"))
            #expect(!survives("manifest of \(piece)") { try ModelDirectory.load("\(directory)/m") })
            let length = (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
            try Data(length + text).write(to: URL(filePath: "\(directory)/x.safetensors"))
            #expect(!survives("weights of \(piece)") { try ModelDirectory.importWeights("\(directory)/x.safetensors") })
        }
    }
}
