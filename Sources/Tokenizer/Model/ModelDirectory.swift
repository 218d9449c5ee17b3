import Files
import Numerics
import Core

/// Models on disk: a directory of `tokenizer.safetensors` and `manifest.json`. Schema/model.md describes both.
package enum ModelDirectory {
    /// File of the tensors, and of what describes them.
    package static let weightsName = "tokenizer.safetensors"
    package static let manifestName = "manifest.json"
    /// Greatest file of weights that is read, in bytes.
    static let weightsLimit = 4 << 30

    /// The manifest alone, for showing; the weights are neither read nor checked.
    ///
    /// - Throws: `FilesError` where it is missing, `TokenizerFailure` where it is no manifest.
    package static func manifest(_ path: String) throws -> ModelManifest {
        let file = "\(path)/\(manifestName)"
        return try ModelManifest(json: FileSystem.read(file, limit: 1 << 20), path: file)
    }

    /// Reads a model and checks it whole: digest, names, shapes, finite values, and manifest against weights.
    ///
    /// - Throws: `FilesError` where a file is missing or no safetensors file, `TokenizerFailure` for the rest.
    package static func load(_ path: String) throws -> TokenizerModel {
        let manifest = try manifest(path)
        guard manifest.weights.file == weightsName else {
            throw mismatch(path, "the manifest names the weights '\(manifest.weights.file.prefix(80))'")
        }
        let file = "\(path)/\(weightsName)"
        let bytes = try FileSystem.read(file, limit: weightsLimit)
        guard bytes.count == manifest.weights.bytes, SHA256.hex(bytes) == manifest.weights.sha256 else {
            throw mismatch(path, "the weights are not those that the manifest was written for (size or SHA-256 differ)")
        }
        let model = try model(
            Safetensors(bytes, path: file), scaling: manifest.inputScaling, provenance: manifest.provenance)
        guard ModelManifest(model, weights: bytes) == manifest else {
            throw mismatch(path, "widths, levels or codes of the manifest are not those of the weights")
        }
        return model
    }

    /// Writes a model to a new directory, durably; it appears whole or not at all.
    ///
    /// - Throws: `FilesError` (`files.exists`) if something is at `path`.
    package static func write(_ model: TokenizerModel, to path: String) throws {
        let publisher = try DirectoryPublisher(target: path)
        let weights = weights(of: model)
        try publisher.write(weightsName, weights)
        try publisher.write(manifestName, ModelManifest(model, weights: weights).json())
        try publisher.publish()
    }

    /// Reads a bare file of weights, as another program exports them: tensors named as in Schema/model.md.
    ///
    /// - Throws: `FilesError` for what is no safetensors file, `TokenizerFailure` where names or shapes do not fit.
    package static func importWeights(
        _ path: String, scaling: InputScaling = .none, embeddingModel: String? = nil
    ) throws -> TokenizerModel {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let provenance = ModelProvenance(embeddingModel: embeddingModel, createdBy: "letter, imported from \(name)")
        return try model(Safetensors(path: path, limit: weightsLimit), scaling: scaling, provenance: provenance)
    }

    /// The bytes of tokenizer.safetensors.
    static func weights(of model: TokenizerModel) -> [UInt8] {
        var writer = SafetensorsWriter()
        for (part, layers) in [("encoder", model.encoder), ("decoder", model.decoder)] {
            for (number, layer) in layers.enumerated() {
                let weight = layer.weight
                writer.add("\(part).\(number).weight", shape: [weight.rows, weight.columns], weight.values)
                writer.add("\(part).\(number).bias", shape: [layer.bias.columns], layer.bias.values)
            }
        }
        for (level, book) in model.codebooks.enumerated() {
            writer.add("codebook.\(level)", shape: [book.rows, book.columns], book.values)
        }
        writer.metadata = ["format": "letter-tokenizer/1"]
        return writer.bytes()
    }

    /// Tensors by their names; one that is not expected is an error, so that nothing is silently left out.
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
        func layers(_ part: String) throws -> [Layer] {
            var layers: [Layer] = []
            while let weight = try matrix("\(part).\(layers.count).weight") {
                guard let bias = try matrix("\(part).\(layers.count).bias") else {
                    throw bad("'\(part).\(layers.count).bias' is missing")
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
            throw bad("'\(extra.prefix(80))' is no tensor of a tokenizer, or one before it is missing")
        }
        return try TokenizerModel(
            encoder: encoder, decoder: decoder, codebooks: codebooks, scaling: scaling, provenance: provenance)
    }

    private static func bad(_ what: String) -> TokenizerFailure {
        TokenizerFailure(
            "bad_model", .invalid, "the weights are not a tokenizer's: \(what)",
            remedy: "Name the tensors encoder.N.weight, encoder.N.bias, decoder.… and codebook.L.")
    }

    private static func mismatch(_ path: String, _ what: String) -> TokenizerFailure {
        TokenizerFailure(
            "model_mismatch", .invalid, "\(path): \(what)", remedy: "Copy the model again, or train it again.")
    }
}
