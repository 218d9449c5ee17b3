import Autodiff
import Core
import Layers
import Numerics
import Tokenizer

extension Evaluation {
    /// Errors of quantisation and decoding over a set of items. z, r_l, ẑ and s are those of `TokenizerModel`.
    package struct ErrorFigures: Sendable, Codable, Equatable {
        /// Items in the set.
        package var items: Int
        /// The mean of ‖z‖², the squared length of the latent embedding.
        package var latentSquaredNorm: Double
        /// The mean of ‖r_l‖², the squared length of the residual after each level l.
        package var residualSquaredNorms: [Double]
        /// The mean of the quantisation error ‖r_L‖² = ‖z − ẑ‖².
        package var quantisationError: Double
        /// Σ ‖r_L‖² / Σ ‖z‖²; without unit.
        package var relativeQuantisationError: Double
        /// The median of the quantisation error.
        package var medianQuantisationError: Double
        /// The 99th percentile of the quantisation error.
        package var p99QuantisationError: Double
        /// The greatest quantisation error.
        package var greatestQuantisationError: Double
        /// Errors of the decoder; nil if the model has none.
        package var reconstruction: Reconstruction?

        enum CodingKeys: String, CodingKey {
            case items
            case latentSquaredNorm = "latent_squared_norm"
            case residualSquaredNorms = "residual_squared_norms"
            case quantisationError = "quantisation_error"
            case relativeQuantisationError = "relative_quantisation_error"
            case medianQuantisationError = "median_quantisation_error"
            case p99QuantisationError = "p99_quantisation_error"
            case greatestQuantisationError = "greatest_quantisation_error"
            case reconstruction
        }
    }

    /// Distances between the scaled input s and ŝ = decoder(ẑ).
    package struct Reconstruction: Sendable, Codable, Equatable {
        /// The mean of (s − ŝ)² over items and elements: the reconstruction loss of training, equation (3) of the paper. It
        /// grows with the square of the input's scale.
        package var meanSquaredError: Double
        /// Σ ‖s − ŝ‖² / Σ ‖s‖²; without unit. For inputs of unit length it is the mean of ‖s − ŝ‖².
        package var relativeError: Double

        enum CodingKeys: String, CodingKey {
            case meanSquaredError = "mean_squared_error"
            case relativeError = "relative_error"
        }
    }
}

/// Squared lengths for every item, from which the figures of any set of items are computed.
struct ItemErrors {
    let levels: Int
    /// Input width D.
    let width: Int
    /// ‖z‖², (n).
    var latent: [Float] = []
    /// ‖r_l‖² after each level, (n, L).
    var residuals: [Float] = []
    /// ‖s‖² of the scaled input, (n); empty without a decoder.
    var input: [Float] = []
    /// ‖s − ŝ‖², (n); empty without a decoder.
    var reconstruction: [Float] = []

    /// The figures of these rows; zeros if there are none. O(rows · (L + log rows)).
    func figures(_ rows: [Int]) -> Evaluation.ErrorFigures {
        func total(_ value: (Int) -> Float) -> Double { rows.reduce(0.0) { $0 + Double(value($1)) } }
        let count = Double(max(1, rows.count))
        let last = rows.map { residuals[$0 * levels + levels - 1] }.sorted()
        // Nearest rank: the least value that `percent` of a hundred do not exceed.
        func percentile(_ percent: Int) -> Double {
            last.isEmpty ? 0 : Double(last[max(0, (percent * last.count + 99) / 100 - 1)])
        }
        let (latents, errors) = (total { latent[$0] }, total { residuals[$0 * levels + levels - 1] })
        var decoded: Evaluation.Reconstruction?
        if !reconstruction.isEmpty {
            let (inputs, differences) = (total { input[$0] }, total { reconstruction[$0] })
            decoded = Evaluation.Reconstruction(
                meanSquaredError: differences / (count * Double(width)),
                relativeError: inputs > 0 ? differences / inputs : 0)
        }
        return Evaluation.ErrorFigures(
            items: rows.count, latentSquaredNorm: latents / count,
            residualSquaredNorms: (0..<levels).map { level in total { residuals[$0 * levels + level] } / count },
            quantisationError: errors / count, relativeQuantisationError: latents > 0 ? errors / latents : 0,
            medianQuantisationError: percentile(50), p99QuantisationError: percentile(99),
            greatestQuantisationError: percentile(100), reconstruction: decoded)
    }
}

extension Evaluator {
    /// Natural codes (n, L) and errors of all embeddings (n, D). 4,096 rows at a time, so scratch memory does not grow with n.
    ///
    /// - Throws: `TokenizerError` (`tokenizer.not_finite`) for an embedding that cannot be encoded.
    func encode(_ semantic: Matrix) throws -> (codes: [Code], errors: ItemErrors) {
        let encoder = FrozenEncoder(model: model)
        let (levels, width) = (model.levels, model.inputWidth)
        var codes: [Code] = []
        codes.reserveCapacity(semantic.rows * levels)
        var errors = ItemErrors(levels: levels, width: width)
        let (decoder, tape) = (MLP("decoder", layers: model.decoder.map { ($0.weight, $0.bias) }), Tape())
        for start in stride(from: 0, to: semantic.rows, by: 4096) {
            let count = min(4096, semantic.rows - start)
            let vectors = Array(semantic.values[(start * width)..<((start + count) * width)])
            let encoding = try encoder.encode(vectors, count: count)
            if let row = encoding.unusable.first {
                throw TokenizerError(
                    .notFinite, "the embedding of row \(start + row) is too large or not finite",
                    remedy: "Correct it, or remove the item from the catalog.")
            }
            codes += encoding.codes
            let latent = Matrix(rows: count, columns: model.latentWidth, encoding.latents)
            errors.latent += latent.squaredNorms()
            var residual = latent
            var byLevel: [[Float]] = []
            for level in 0..<levels {
                var chosen = Matrix()
                chosen.gather((0..<count).map { Int(encoding.codes[$0 * levels + level]) }, of: model.codebooks[level])
                residual.add(chosen, scaledBy: -1)
                byLevel.append(residual.squaredNorms())
            }
            for row in 0..<count { for level in 0..<levels { errors.residuals.append(byLevel[level][row]) } }
            guard !model.decoder.isEmpty else { continue }
            var input = Matrix(rows: count, columns: width, vectors)
            model.scaling.apply(to: &input)
            errors.input += input.squaredNorms()
            var quantised = latent
            quantised.add(residual, scaledBy: -1)
            // ŝ (B, D) of the quantised embeddings, in the space of scaled inputs.
            tape.reset()
            input.add(tape.value(decoder(tape.constant(quantised), on: tape)), scaledBy: -1)
            errors.reconstruction += input.squaredNorms()
        }
        return (codes, errors)
    }
}
