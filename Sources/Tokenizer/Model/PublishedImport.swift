package import Files
import Numerics
import Core

/// Reads checkpoints of the published RQ-VAE code (LETTER, LC-Rec and programs built on them), exported as safetensors with
/// the tensor names of the state dict.
///
/// | tensor | becomes |
/// |---|---|
/// | `encoder.mlp_layers.M.weight`, `.bias` | `encoder.N.weight`, `.bias` |
/// | `decoder.mlp_layers.M.weight`, `.bias` | `decoder.N.…`; without them the model is for encoding only |
/// | `rq.vq_layers.L.embedding.weight` | `codebook.L` |
///
/// M is the number of the module in a sequence of dropout, linear layer and ReLU for each layer (no ReLU after the last), so
/// linear layer N is module 3 N + 1. Another distance between linear layers means other modules: it is 4 with batch
/// normalisation and 2 without an activation, and this program can run neither. The names do not show that the activation
/// is ReLU; it is in all published models.
///
/// A prefix that all names share, such as `module.` after distributed training, is ignored.
package enum PublishedImport {
    /// Whether a file has tensors with the published names.
    package static func recognises(_ file: Safetensors) -> Bool {
        file.entries.keys.contains { $0.contains("mlp_layers.") || $0.contains("vq_layers.") }
    }

    /// The model in a file. O(weights).
    ///
    /// - Throws: `TokenizerError` (`tokenizer.bad_model`) that names the tensor which is unexpected or missing;
    ///   `FilesError` for values that are not finite.
    package static func model(
        _ file: Safetensors, scaling: InputScaling = .none, provenance: ModelProvenance = ModelProvenance()
    ) throws -> TokenizerModel {
        let start = prefix(of: file.entries.keys)
        var modules: [Network: [Int: Linear]] = [:]
        var books: [Int: Matrix] = [:]
        // Sorted, so that the same one of several faults is reported each time.
        for name in file.entries.keys.sorted() {
            let words = name.dropFirst(start.count).split(separator: ".", omittingEmptySubsequences: false)
            if words.count == 4, let network = Network(rawValue: String(words[0])), words[1] == "mlp_layers",
                let module = number(words[2])
            {
                switch words[3] {
                case "weight":
                    modules[network, default: [:]][module, default: Linear()].weight = try matrix(name, file)
                    modules[network]?[module]?.isVector = file.entries[name]?.shape.count == 1
                case "bias": modules[network, default: [:]][module, default: Linear()].bias = try matrix(name, file)
                default: throw unknown(name, field: words[3])
                }
            } else if words.count == 5, words[0] == "rq", words[1] == "vq_layers", let level = number(words[2]),
                words[3] == "embedding", words[4] == "weight"
            {
                books[level] = try matrix(name, file)
            } else {
                throw unknown(name, field: words.last ?? "")
            }
        }
        let (encoder, decoder) = (try layers(.encoder, modules, start), try layers(.decoder, modules, start))
        guard !encoder.isEmpty else { throw bad("'\(start)encoder.mlp_layers.1.weight' is missing") }
        let codebooks = try (0..<books.count).map { level in
            guard let book = books[level] else {
                throw bad("'\(start)rq.vq_layers.\(level).embedding.weight' is missing")
            }
            return book
        }
        guard !codebooks.isEmpty else { throw bad("'\(start)rq.vq_layers.0.embedding.weight' is missing") }
        return try TokenizerModel(
            encoder: encoder, decoder: decoder, codebooks: codebooks, scaling: scaling, provenance: provenance)
    }

    // MARK: - Modules

    private enum Network: String {
        case encoder, decoder
    }

    /// The parameters of a module, linear or not.
    private struct Linear {
        var weight: Matrix?
        /// Whether the weight has one dimension, as in a normalisation.
        var isVector = false
        var bias: Matrix?
    }

    /// The prefix that all names have before `encoder`, `decoder` or `rq`; empty if they have none in common.
    private static func prefix(of names: some Collection<String>) -> String {
        for root in ["encoder.mlp_layers.", "decoder.mlp_layers.", "rq.vq_layers."] {
            for name in names.sorted() {
                guard let range = name.firstRange(of: root) else { continue }
                let start = String(name[..<range.lowerBound])
                return names.allSatisfy { $0.hasPrefix(start) } && (start.isEmpty || start.hasSuffix(".")) ? start : ""
            }
        }
        return ""
    }

    /// A decimal number without sign or leading zeros, as PyTorch writes it.
    private static func number(_ text: Substring) -> Int? {
        guard let value = Int(text), value >= 0, String(value) == text else { return nil }
        return value
    }

    private static func matrix(_ name: String, _ file: Safetensors) throws -> Matrix {
        let shape = file.entries[name]?.shape ?? []
        guard (1...2).contains(shape.count) else { throw bad("'\(name.prefix(80))' has \(shape.count) dimensions") }
        return Matrix(
            rows: shape.count == 2 ? shape[0] : 1, columns: shape[shape.count - 1], try file.floats(name))
    }

    /// The linear layers of the encoder or the decoder, whose modules must be 3 apart.
    private static func layers(_ network: Network, _ modules: [Network: [Int: Linear]], _ start: String) throws
        -> [Layer]
    {
        let found = (modules[network] ?? [:]).sorted { $0.key < $1.key }
        func name(_ module: Int) -> String { "\(start)\(network.rawValue).mlp_layers.\(module)" }
        if let (module, _) = found.first(where: { $0.value.isVector }) {
            throw normalised("'\(name(module)).weight' has one dimension")
        }
        return try found.enumerated().map { position, entry in
            let expected = 3 * position + 1
            guard entry.key == expected else {
                throw bad(
                    "linear layer \(position) is '\(name(entry.key))', but after dropout, linear layers and ReLU it would be "
                        + "number \(expected): the model has other modules, or tensors are missing")
            }
            guard let weight = entry.value.weight else { throw bad("'\(name(expected)).weight' is missing") }
            guard let bias = entry.value.bias else { throw bad("'\(name(expected)).bias' is missing") }
            return Layer(weight: weight, bias: bias)
        }
    }

    // MARK: - Failures

    private static func unknown(_ name: String, field: Substring) -> TokenizerError {
        switch field {
        case "running_mean", "running_var", "num_batches_tracked":
            normalised("'\(name.prefix(80))' belongs to batch normalisation")
        default: bad("'\(name.prefix(80))' is not one of its tensors")
        }
    }

    private static func normalised(_ what: String) -> TokenizerError {
        TokenizerError(
            .badModel, "the model normalises batches, which Letter does not support: \(what)",
            remedy:
                "Train it without batch normalisation (bn=False), or fold it into the linear layers and export again.")
    }

    private static func bad(_ what: String) -> TokenizerError {
        TokenizerError(
            .badModel, "the file does not hold the weights of a published RQ-VAE: \(what)",
            remedy: "Export the state dict and nothing else: encoder.mlp_layers.…, decoder.mlp_layers.… and "
                + "rq.vq_layers.N.embedding.weight.")
    }
}
