package import Numerics
package import Core

/// A linear layer y = x Wᵀ + b.
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

/// What is done to an embedding before the encoder: training and serving do the same.
package struct InputScaling: Sendable, Codable, Equatable {
    /// Whether each embedding is first divided by its Euclidean length.
    package var unitLength: Bool
    /// What it is then multiplied by.
    package var factor: Float

    package init(unitLength: Bool, factor: Float) {
        self.unitLength = unitLength
        self.factor = factor
    }

    /// Embeddings as they are.
    package static let none = InputScaling(unitLength: false, factor: 1)

    /// Unit length, times √width: a mean square of 1, so that the reconstruction term has the size that the published
    /// α and β were chosen for.
    package static func unitVariance(width: Int) -> InputScaling {
        InputScaling(unitLength: true, factor: Float(width).squareRoot())
    }

    enum CodingKeys: String, CodingKey {
        case unitLength = "unit_length"
        case factor
    }

    /// Scales each row in place.
    package func apply(to matrix: inout Matrix) {
        if unitLength {
            matrix.normaliseRows(factor: factor)
        } else if factor != 1 {
            matrix.scale(by: factor)
        }
    }
}

/// A trained tokenizer: an encoder D → d, L codebooks of N × d, and the decoder if it is kept.
package struct TokenizerModel: Sendable, Equatable {
    /// Layers of the encoder; ReLU between them, none after the last (1).
    package var encoder: [Layer]
    /// Layers of the decoder d → D; empty where the model is only for encoding.
    package var decoder: [Layer]
    /// Codebooks, one a level, (N, d).
    package var codebooks: [Matrix]
    /// Scaling of the input.
    package var scaling: InputScaling
    /// Where it comes from.
    package var provenance: ModelProvenance

    /// A model of these parts.
    ///
    /// - Throws: `TokenizerFailure` (`tokenizer.bad_model`) if the parts do not fit together or hold values that are not
    ///   finite.
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

    /// Width D of the embeddings it takes.
    package var inputWidth: Int { encoder[0].weight.columns }
    /// Width d of the latent embedding.
    package var latentWidth: Int { codebooks[0].columns }
    /// Levels L: codes in a natural identifier.
    package var levels: Int { codebooks.count }
    /// Codes N of each level.
    package var codesPerLevel: Int { codebooks[0].rows }
    /// Widths between input and latent.
    package var hiddenWidths: [Int] { encoder.dropLast().map(\.weight.rows) }

    private func check() throws {
        func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
            guard condition else {
                throw TokenizerFailure(
                    "bad_model", .invalid, "the model does not fit together: \(what())",
                    remedy: "Export or train it again.")
            }
        }
        try require(!encoder.isEmpty, "there is no encoder")
        try require((1...8).contains(codebooks.count), "\(codebooks.count) levels; 1 to 8 are possible")
        try require((1...65536).contains(codebooks[0].rows), "\(codebooks[0].rows) codes; 1 to 65,536 are possible")
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
                    "layer \(number) of the \(name) takes \(layer.weight.columns) values and gets \(width)")
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

/// Where a model comes from: recorded with it, of no effect on what it computes.
package struct ModelProvenance: Sendable, Codable, Equatable {
    /// The embedding model that made the embeddings, as the catalog names it.
    package var embeddingModel: String?
    /// Who made the model: program and version, or the file it was imported from.
    package var createdBy: String
    /// Seed of the training run.
    package var seed: UInt64?
    /// Settings of the training run, as its program wrote them; never interpreted.
    package var settings: JSONValue?
    /// How the training run ended.
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
