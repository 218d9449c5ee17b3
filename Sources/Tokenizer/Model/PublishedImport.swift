package import Files
import Numerics
import Core

/// Reads checkpoints of the published RQ-VAE code (LETTER, LC-Rec and what is built on them), exported as safetensors
/// under their state-dict names.
///
/// | tensor | becomes |
/// |---|---|
/// | `encoder.mlp_layers.M.weight`, `.bias` | `encoder.N.weight`, `.bias` |
/// | `decoder.mlp_layers.M.weight`, `.bias` | `decoder.N.…`; left out, the model is for encoding only |
/// | `rq.vq_layers.L.embedding.weight` | `codebook.L` |
///
/// M counts the modules of a sequence that has for each layer a dropout, a linear layer and, but for the last, a ReLU: so
/// linear layer N is module 3 N + 1. Other distances between the modules mean other modules: with batch normalisation
/// they are 4, without activation 2; neither is a model that this program can run. That the activation is ReLU no name
/// tells; it is in all published models.
///
/// A prefix that all names share, such as the `module.` of distributed training, is passed over.
package enum PublishedImport {
    /// Whether a file has tensors of the published names.
    package static func recognises(_ file: Safetensors) -> Bool {
        file.entries.keys.contains { $0.contains("mlp_layers.") || $0.contains("vq_layers.") }
    }

    /// The model in a file.
    ///
    /// - Throws: `TokenizerFailure` (`tokenizer.bad_model`) naming the tensor that does not belong, or what is missing;
    ///   `FilesError` for values that are not finite.
    package static func model(
        _ file: Safetensors, scaling: InputScaling = .none, provenance: ModelProvenance = ModelProvenance()
    ) throws -> TokenizerModel {
        let start = prefix(of: file.entries.keys)
        var modules: [Part: [Int: Linear]] = [:]
        var books: [Int: Matrix] = [:]
        // In order of names, so that of several faults the same one is told each time.
        for name in file.entries.keys.sorted() {
            let words = name.dropFirst(start.count).split(separator: ".", omittingEmptySubsequences: false)
            if words.count == 4, let part = Part(rawValue: String(words[0])), words[1] == "mlp_layers",
                let module = number(words[2])
            {
                switch words[3] {
                case "weight":
                    modules[part, default: [:]][module, default: Linear()].weight = try matrix(name, file)
                    modules[part]?[module]?.isVector = file.entries[name]?.shape.count == 1
                case "bias": modules[part, default: [:]][module, default: Linear()].bias = try matrix(name, file)
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

    // MARK: - Parts

    private enum Part: String {
        case encoder, decoder
    }

    /// A module with parameters: linear, or another one's.
    private struct Linear {
        var weight: Matrix?
        /// Whether the weight has one dimension, as those of normalisation have.
        var isVector = false
        var bias: Matrix?
    }

    /// What all names begin with before `encoder`, `decoder` or `rq`: the words of a name that is known, if the others
    /// share them.
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

    /// Decimal digits without a sign or leading zeros, as PyTorch writes them.
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

    /// Linear layers of one part, the modules checked to be 3 apart.
    private static func layers(_ part: Part, _ modules: [Part: [Int: Linear]], _ start: String) throws -> [Layer] {
        let found = (modules[part] ?? [:]).sorted { $0.key < $1.key }
        func name(_ module: Int) -> String { "\(start)\(part.rawValue).mlp_layers.\(module)" }
        if let (module, _) = found.first(where: { $0.value.isVector }) {
            throw normalised("'\(name(module)).weight' has one dimension")
        }
        return try found.enumerated().map { position, entry in
            let expected = 3 * position + 1
            guard entry.key == expected else {
                throw bad(
                    "'\(name(entry.key))' is layer \(position) and stands where no dropout, linear layer and ReLU before "
                        + "it would leave it (at \(expected)): the model has other modules, or tensors are missing")
            }
            guard let weight = entry.value.weight else { throw bad("'\(name(expected)).weight' is missing") }
            guard let bias = entry.value.bias else { throw bad("'\(name(expected)).bias' is missing") }
            return Layer(weight: weight, bias: bias)
        }
    }

    // MARK: - Failures

    private static func unknown(_ name: String, field: Substring) -> TokenizerFailure {
        switch field {
        case "running_mean", "running_var", "num_batches_tracked":
            normalised("'\(name.prefix(80))' belongs to batch normalisation")
        default: bad("'\(name.prefix(80))' is no tensor of it")
        }
    }

    private static func normalised(_ what: String) -> TokenizerFailure {
        TokenizerFailure(
            "bad_model", .invalid, "the model normalises batches, which no tokenizer of Letter does: \(what)",
            remedy:
                "Train it without batch normalisation (bn=False), or fold it into the linear layers and export again.")
    }

    private static func bad(_ what: String) -> TokenizerFailure {
        TokenizerFailure(
            "bad_model", .invalid, "the weights are not those of a published RQ-VAE: \(what)",
            remedy: "Export the state dict alone: encoder.mlp_layers.…, decoder.mlp_layers.… and "
                + "rq.vq_layers.N.embedding.weight.")
    }
}
