package import Numerics
package import Core

/// A linear layer y = x Wᵀ + b, x: (B, in), y: (B, out).
package struct Layer: Sendable, Equatable {
    /// Weights (out, in).
    package var weight: Matrix
    /// Biases (1, out).
    package var bias: Matrix

    package init(weight: Matrix, bias: Matrix) {
        self.weight = weight
        self.bias = bias
    }
}

/// How an embedding is scaled before the encoder, in training and in serving alike.
package struct InputScaling: Sendable, Codable, Equatable {
    /// Whether each embedding is divided by its Euclidean length first.
    package var unitLength: Bool
    /// The factor that it is multiplied by then.
    package var factor: Float

    package init(unitLength: Bool, factor: Float) {
        self.unitLength = unitLength
        self.factor = factor
    }

    /// No scaling.
    package static let none = InputScaling(unitLength: false, factor: 1)

    /// Unit length times √width. The elements then have a mean square of 1, which is the scale of the reconstruction loss that
    /// the published α and β were chosen for.
    package static func unitVariance(width: Int) -> InputScaling {
        InputScaling(unitLength: true, factor: Float(width).squareRoot())
    }

    enum CodingKeys: String, CodingKey {
        case unitLength = "unit_length"
        case factor
    }

    /// Scales each row in place. O(elements).
    package func apply(to matrix: inout Matrix) {
        if unitLength {
            matrix.normaliseRows(factor: factor)
        } else if factor != 1 {
            matrix.scale(by: factor)
        }
    }
}

/// A trained tokenizer: an encoder D → d, L codebooks of N codes of width d, and the decoder d → D if it was kept.
///
/// With s the scaled embedding of an item,
///
///     z   = encoder(s)                                              the latent embedding
///     r_0 = z,   c_l = argmin_i ‖r_{l−1} − e_i‖²,   r_l = r_{l−1} − e_{c_l}      for levels l = 1 … L
///     ẑ   = Σ_l e_{c_l}                                             the quantised embedding
///
/// where e_i are the codes of level l, and the lowest index wins a tie. (c_1, …, c_L) is the item's natural identifier.
///
/// Equations (1) and (2) of Wang, Bao, Lin, Zhang, Li, Feng, Ng, Chua: "Learnable Item Tokenization for Generative
/// Recommendation" (CIKM 2024).
package struct TokenizerModel: Sendable, Equatable {
    /// Layers of the encoder, with ReLU between them and none after the last.
    package var encoder: [Layer]
    /// Layers of the decoder, with ReLU in the same places; empty if the model is for encoding only.
    package var decoder: [Layer]
    /// The codebook of each level, (N, d).
    package var codebooks: [Matrix]
    /// How embeddings are scaled before the encoder.
    package var scaling: InputScaling
    /// Where the model comes from.
    package var provenance: ModelProvenance

    /// A model of these layers and codebooks. O(weights).
    ///
    /// - Throws: `TokenizerError` (`tokenizer.bad_model`) if they do not fit together or hold values that are not finite.
    package init(
        encoder: [Layer], decoder: [Layer] = [], codebooks: [Matrix], scaling: InputScaling = .none,
        provenance: ModelProvenance = ModelProvenance()
    ) throws {
        self.encoder = encoder
        self.decoder = decoder
        self.codebooks = codebooks
        self.scaling = scaling
        self.provenance = provenance
        try check()
    }

    /// Width D of the embeddings.
    package var inputWidth: Int { encoder[0].weight.columns }
    /// Width d of the latent embedding.
    package var latentWidth: Int { codebooks[0].columns }
    /// Number of levels L: codes in a natural identifier.
    package var levels: Int { codebooks.count }
    /// Number of codes N of each level.
    package var codesPerLevel: Int { codebooks[0].rows }
    /// Widths of the layers between input and latent embedding.
    package var hiddenWidths: [Int] { encoder.dropLast().map(\.weight.rows) }

    private func check() throws {
        func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
            guard condition else {
                throw TokenizerError(
                    .badModel, "the model is not consistent: \(what())", remedy: "Export it or train it again.")
            }
        }
        try require(!encoder.isEmpty, "it has no encoder")
        try require((1...8).contains(codebooks.count), "it has \(codebooks.count) levels; 1 to 8 are possible")
        try require(
            (1...65536).contains(codebooks[0].rows),
            "it has \(codebooks[0].rows) codes in a level; 1 to 65,536 are possible")
        for (level, book) in codebooks.enumerated() {
            try require(
                book.rows == codebooks[0].rows && book.columns == codebooks[0].columns,
                "codebook \(level) is \(book.rows) × \(book.columns), the first \(codebooks[0].rows) × \(latentWidth)")
            try require(book.isFinite, "codebook \(level) holds a value that is not finite")
        }
        for (name, layers, first, last) in [
            ("encoder", encoder, inputWidth, latentWidth), ("decoder", decoder, latentWidth, inputWidth),
        ] where !layers.isEmpty {
            var width = first
            for (number, layer) in layers.enumerated() {
                try require(
                    layer.weight.columns == width && layer.weight.rows > 0,
                    "layer \(number) of the \(name) takes \(layer.weight.columns) values, but is given \(width)")
                try require(
                    layer.bias.rows == 1 && layer.bias.columns == layer.weight.rows,
                    "layer \(number) of the \(name) has \(layer.bias.columns) biases for \(layer.weight.rows) rows")
                try require(
                    layer.weight.isFinite && layer.bias.isFinite,
                    "layer \(number) of the \(name) holds a value that is not finite")
                width = layer.weight.rows
            }
            try require(width == last, "the \(name) ends at width \(width), not \(last)")
        }
        try require(inputWidth > 0 && latentWidth > 0, "a width is zero")
        try require(scaling.factor.isFinite && scaling.factor > 0, "the scaling factor is \(scaling.factor)")
    }
}

/// Where a model comes from. It is recorded with the model and does not change what it computes.
package struct ModelProvenance: Sendable, Codable, Equatable {
    /// The model that made the embeddings, as the catalog names it.
    package var embeddingModel: String?
    /// What made the tokenizer: the program, or the file it was imported from.
    package var createdBy: String
    /// The seed of the training run.
    package var seed: UInt64?
    /// The settings of the training run, as the training program wrote them; never interpreted.
    package var settings: JSONValue?
    /// The figures of the training run.
    package var figures: TrainingFigures?

    package init(
        embeddingModel: String? = nil, createdBy: String = "letter", seed: UInt64? = nil,
        settings: JSONValue? = nil, figures: TrainingFigures? = nil
    ) {
        self.embeddingModel = embeddingModel
        self.createdBy = createdBy
        self.seed = seed
        self.settings = settings
        self.figures = figures
    }

    enum CodingKeys: String, CodingKey {
        case embeddingModel = "embedding_model"
        case createdBy = "created_by"
        case seed, settings, figures
    }
}
