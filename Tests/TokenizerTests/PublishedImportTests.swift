import TokenizerFixtures
import Files
import Numerics
import Testing
import Tokenizer
import Core

/// Checkpoints with the tensor names of the published code.
@Suite struct PublishedImportTests {
    /// Names and shapes of an RQ-VAE 6 → 5 → 4 → 3 with two levels of eight codes, as PyTorch names them.
    private static let published: [String: [Int]] = [
        "encoder.mlp_layers.1.weight": [5, 6], "encoder.mlp_layers.1.bias": [5],
        "encoder.mlp_layers.4.weight": [4, 5], "encoder.mlp_layers.4.bias": [4],
        "encoder.mlp_layers.7.weight": [3, 4], "encoder.mlp_layers.7.bias": [3],
        "decoder.mlp_layers.1.weight": [4, 3], "decoder.mlp_layers.1.bias": [4],
        "decoder.mlp_layers.4.weight": [5, 4], "decoder.mlp_layers.4.bias": [5],
        "decoder.mlp_layers.7.weight": [6, 5], "decoder.mlp_layers.7.bias": [6],
        "rq.vq_layers.0.embedding.weight": [8, 3], "rq.vq_layers.1.embedding.weight": [8, 3],
    ]

    /// A file of tensors of random numbers that depend on the name's part after `prefix` alone.
    private func file(_ shapes: [String: [Int]], prefix: String = "") throws -> Safetensors {
        var writer = SafetensorsWriter()
        for (name, shape) in shapes {
            let seed = name.utf8.reduce(UInt64(7)) { $0 &* 31 &+ UInt64($1) }
            var random = Random(seed: seed)
            let count = shape.reduce(1, *)
            writer.add(prefix + name, shape: shape, (0..<count).map { _ in Float(random.normal()) })
        }
        return try Safetensors(writer.bytes(), path: "test")
    }

    @Test(
        "tensors with published names become layers and codebooks, and encode as computed by hand",
        arguments: ["", "module."])
    func imported(prefix: String) throws {
        let file = try file(Self.published, prefix: prefix)
        #expect(PublishedImport.recognises(file))
        let model = try PublishedImport.model(file)
        #expect(model.inputWidth == 6 && model.hiddenWidths == [5, 4] && model.latentWidth == 3)
        #expect(model.decoder.map(\.weight.rows) == [4, 5, 6])
        #expect(model.levels == 2 && model.codesPerLevel == 8)
        let input: [Float] = [0.5, -1, 2, 0.25, -0.75, 1]
        var values = input
        for (number, module) in [1, 4, 7].enumerated() {
            let name = "\(prefix)encoder.mlp_layers.\(module)"
            let (weight, bias) = (try file.floats("\(name).weight"), try file.floats("\(name).bias"))
            values = bias.indices.map { row in
                let sum = values.indices.reduce(bias[row]) { $0 + weight[row * values.count + $1] * values[$1] }
                return number < 2 ? max(0, sum) : sum
            }
        }
        let latents = try FrozenEncoder(model: model).encode(input, count: 1).latents
        #expect(zip(latents, values).allSatisfy { abs($0 - $1) < 1e-4 })
        #expect(model.codebooks[1].values == (try file.floats("\(prefix)rq.vq_layers.1.embedding.weight")))
    }

    @Test("twelve layers are in the order of their numbers, not of their names") func manyLayers() throws {
        var shapes = ["rq.vq_layers.0.embedding.weight": [4, 14]]
        for layer in 0..<12 {
            shapes["encoder.mlp_layers.\(3 * layer + 1).weight"] = [layer + 3, layer + 2]
            shapes["encoder.mlp_layers.\(3 * layer + 1).bias"] = [layer + 3]
        }
        let model = try PublishedImport.model(try file(shapes))
        #expect(model.inputWidth == 2 && model.hiddenWidths == Array(3...13) && model.latentWidth == 14)
        #expect(model.decoder.isEmpty)
    }

    @Test("files with our own names are not taken for published ones") func ownNames() throws {
        let own = try Safetensors(path: Fixtures.path("scientific-frozen-tokenizer.safetensors"))
        #expect(!PublishedImport.recognises(own))
        #expect(throws: TokenizerError.self) { try PublishedImport.model(own) }
    }

    @Test(
        "other models are refused with a message that says what is wrong",
        arguments: [
            // Batch normalisation: its statistics, and its weight where a linear layer's would not be.
            (["encoder.mlp_layers.2.running_mean": [5]], [], "batches"),
            (["encoder.mlp_layers.2.num_batches_tracked": []], [], "batches"),
            (["encoder.mlp_layers.2.weight": [5], "encoder.mlp_layers.2.bias": [5]], [], "batches"),
            // No activation: dropout and linear layers alone.
            (
                ["encoder.mlp_layers.3.weight": [4, 5], "encoder.mlp_layers.3.bias": [4]],
                ["encoder.mlp_layers.4.weight", "encoder.mlp_layers.4.bias"], "other modules"
            ),
            (["optimizer.step": [1]], [], "optimizer.step"),
            (["encoder.mlp_layers.01.weight": [5, 6]], [], "mlp_layers.01"),
            (["encoder.mlp_layers.1.scale": [5]], [], "mlp_layers.1.scale"),
            (["rq.vq_layers.0.embedding.bias": [5]], [], "embedding.bias"),
            (["rq.vq_layers.3.embedding.weight": [8, 3]], [], "rq.vq_layers.2"),
            (["rq.vq_layers.2.embedding.weight": [9, 3]], [], "codebook 2"),
            ([:], ["encoder.mlp_layers.4.bias"], "encoder.mlp_layers.4.bias"),
            ([:], ["encoder.mlp_layers.4.weight"], "encoder.mlp_layers.4.weight"),
            ([:], ["encoder.mlp_layers.1.weight", "encoder.mlp_layers.1.bias"], "other modules"),
            ([:], ["rq.vq_layers.0.embedding.weight"], "rq.vq_layers.0"),
            ([:], ["rq.vq_layers.0.embedding.weight", "rq.vq_layers.1.embedding.weight"], "rq.vq_layers.0"),
            (["encoder.mlp_layers.4.weight": [4, 5, 1]], [], "3 dimensions"),
            (["encoder.mlp_layers.7.weight": [2, 4], "encoder.mlp_layers.7.bias": [2]], [], "width"),
        ] as [([String: [Int]], [String], String)])
    func refused(added: [String: [Int]], removed: [String], named: String) throws {
        var shapes = Self.published.merging(added) { $1 }
        for name in removed { shapes[name] = nil }
        let file = try file(shapes)
        let failure = #expect(throws: TokenizerError.self) { try PublishedImport.model(file) }
        #expect(failure?.code == "tokenizer.bad_model")
        #expect(failure?.message.contains(named) == true, "\(failure?.message ?? "")")
    }
}
