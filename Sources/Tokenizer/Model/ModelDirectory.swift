import Files
import Numerics
import Core

/// A model on disk: a directory with `tokenizer.safetensors` and `manifest.json`. Schema/model.md describes both files.
package enum ModelDirectory {
    /// File of the tensors, and of what describes them.
    package static let weightsName = ModelFile.weights.rawValue
    package static let manifestName = ModelFile.manifest.rawValue

    /// The manifest of the model in the directory `path`. The weights are neither read nor checked.
    ///
    /// - Throws: `FilesError` if the file is missing, `TokenizerError` if it is not a manifest.
    package static func manifest(_ path: String) throws -> ModelManifest {
        let file = "\(path)/\(manifestName)"
        return try ModelManifest(json: FileSystem.read(file, limit: ModelFile.manifest.limit), path: file)
    }

    /// Reads the model in the directory `path`, and checks all of it: size and digest of the weights, names, shapes, finite
    /// values, and that the manifest describes the weights. O(weights).
    ///
    /// - Throws: `FilesError` if a file is missing or is not a safetensors file, `TokenizerError` for the rest.
    package static func load(_ path: String) throws -> TokenizerModel {
        let manifest = try manifest(path)
        guard manifest.weights.file == weightsName else {
            throw mismatch(path, "the manifest names the file of weights '\(manifest.weights.file.prefix(80))'")
        }
        let file = "\(path)/\(weightsName)"
        let bytes = try FileSystem.read(file, limit: ModelFile.weights.limit)
        guard bytes.count == manifest.weights.bytes, SHA256.hex(bytes) == manifest.weights.sha256 else {
            throw mismatch(path, "the weights are not the ones that the manifest describes (size or SHA-256 differs)")
        }
        let model = try model(
            Safetensors(bytes, path: file), scaling: manifest.inputScaling, provenance: manifest.provenance)
        guard ModelManifest(model, weights: bytes) == manifest else {
            throw mismatch(path, "the manifest gives other widths, levels or codes than the weights have")
        }
        return model
    }

    /// Writes a model to a new directory, durably and atomically: after a crash the directory is complete or does not exist.
    ///
    /// - Throws: `FilesError`, with the code `files.exists` if there is something at `path`.
    package static func write(_ model: TokenizerModel, to path: String) throws {
        let publisher = try DirectoryPublisher(target: path)
        let weights = weights(of: model)
        try publisher.write(weightsName, weights)
        try publisher.write(manifestName, ModelManifest(model, weights: weights).json())
        try publisher.publish()
    }

    /// Reads a file of weights without a manifest, as another program exports it, with the tensor names of Schema/model.md.
    ///
    /// - Throws: `FilesError` if it is not a safetensors file, `TokenizerError` if names or shapes are wrong.
    package static func importWeights(
        _ path: String, scaling: InputScaling = .none, embeddingModel: String? = nil
    ) throws -> TokenizerModel {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let provenance = ModelProvenance(embeddingModel: embeddingModel, createdBy: "letter, imported from \(name)")
        return try model(
            Safetensors(path: path, limit: ModelFile.weights.limit), scaling: scaling, provenance: provenance)
    }

    /// The bytes of tokenizer.safetensors. The same model gives the same bytes.
    static func weights(of model: TokenizerModel) -> [UInt8] {
        var writer = SafetensorsWriter()
        for (network, layers) in [("encoder", model.encoder), ("decoder", model.decoder)] {
            for (number, layer) in layers.enumerated() {
                let weight = layer.weight
                writer.add("\(network).\(number).weight", shape: [weight.rows, weight.columns], weight.values)
                writer.add("\(network).\(number).bias", shape: [layer.bias.columns], layer.bias.values)
            }
        }
        for (level, book) in model.codebooks.enumerated() {
            writer.add("codebook.\(level)", shape: [book.rows, book.columns], book.values)
        }
        writer.metadata = ["format": "letter-tokenizer/1"]
        return writer.bytes()
    }

    /// Makes a model of the tensors. A name that is not expected is an error, so that no tensor is ignored by mistake.
    private static func model(
        _ file: Safetensors, scaling: InputScaling, provenance: ModelProvenance
    ) throws -> TokenizerModel {
        var used: Set<String> = []
        func matrix(_ name: String) throws -> Matrix? {
            guard let entry = file.entries[name] else { return nil }
            guard (1...2).contains(entry.shape.count) else {
                throw bad("'\(name)' has \(entry.shape.count) dimensions")
            }
            used.insert(name)
            let rows = entry.shape.count == 2 ? entry.shape[0] : 1
            return Matrix(rows: rows, columns: entry.shape[entry.shape.count - 1], try file.floats(name))
        }
        func layers(_ network: String) throws -> [Layer] {
            var layers: [Layer] = []
            while let weight = try matrix("\(network).\(layers.count).weight") {
                guard let bias = try matrix("\(network).\(layers.count).bias") else {
                    throw bad("'\(network).\(layers.count).bias' is missing")
                }
                layers.append(Layer(weight: weight, bias: bias))
            }
            return layers
        }
        let (encoder, decoder) = (try layers("encoder"), try layers("decoder"))
        var codebooks: [Matrix] = []
        while let book = try matrix("codebook.\(codebooks.count)") { codebooks.append(book) }
        guard !encoder.isEmpty else { throw bad("'encoder.0.weight' is missing") }
        guard !codebooks.isEmpty else { throw bad("'codebook.0' is missing") }
        if let extra = file.entries.keys.filter({ !used.contains($0) }).sorted().first {
            throw bad("'\(extra.prefix(80))' is not a tensor of a tokenizer, or the one before it is missing")
        }
        return try TokenizerModel(
            encoder: encoder, decoder: decoder, codebooks: codebooks, scaling: scaling, provenance: provenance)
    }

    private static func bad(_ what: String) -> TokenizerError {
        TokenizerError(
            .badModel, "the file does not hold a tokenizer's weights: \(what)",
            remedy: "Name the tensors encoder.N.weight, encoder.N.bias, decoder.… and codebook.L.")
    }

    private static func mismatch(_ path: String, _ what: String) -> TokenizerError {
        TokenizerError(.modelMismatch, "\(path): \(what)", remedy: "Copy the model again, or train it again.")
    }
}
