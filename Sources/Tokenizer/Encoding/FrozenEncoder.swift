package import Numerics
package import Core

/// The result of encoding n embeddings, row by row, with a model of L levels and latent width d.
package struct Encoding: Sendable, Equatable {
    /// The number n of embeddings.
    package var count: Int
    /// Natural codes (n, L): at each level the code nearest to the residual.
    package var codes: [Code]
    /// Margins (n, L): the squared distance of the second-nearest code minus that of the nearest.
    package var margins: [Float]
    /// ‖r_L‖² (n): the squared length of the residual after all levels.
    package var quantisationErrors: [Float]
    /// Latent embeddings (n, d).
    package var latents: [Float]
    /// Rows whose latent is not finite, because the embedding holds NaN or infinity or is too large. Their codes are
    /// meaningless.
    package var unusable: [Int]
}

/// Encodes embeddings with a frozen model.
///
/// An embedding always gets the same bits, whatever the batch, the number of threads or the CPU; see `PackedRows`.
///
/// Not thread-safe, because it owns its scratch memory: use one for each thread. Calls block the thread, so they do not
/// belong on the cooperative pool.
package final class FrozenEncoder {
    /// The name of the way in which sums are computed, to be recorded with the codes. With another name, items that lie
    /// between two codes may get the other one.
    package static let arithmetic = PackedRows.arithmetic

    /// The kernels that encode on this CPU, for reports: `AVX-512`, `AVX2` or `plain`. All of them give the same codes.
    package static var kernels: String { SIMDWidth.widest.name }

    /// The model in use.
    package let model: TokenizerModel
    private let layers: [PackedRows]
    /// For each level −2e of its codes e, with offsets ‖e‖²: a product is then ‖e‖² − 2⟨e, r⟩ = ‖r − e‖² − ‖r‖².
    private let books: [PackedRows]
    private let width: SIMDWidth

    /// Time spent on codebooks in all calls so far; the rest of a call's time is spent on the encoder's layers.
    package private(set) var quantising = Duration.zero

    // Scratch memory: embeddings as rows; the input and the output of a layer as columns; nearest codes and margins of the
    // columns.
    private var input = Matrix()
    private var activation = Panels(rows: 0, columns: 0)
    private var output = Panels(rows: 0, columns: 0)
    private var codes: [Int32] = []
    private var margins: [Float] = []

    /// Embeddings that are encoded together: as many as keep the activations in the second-level cache.
    private static let tileRows = 8 * Panels.width

    /// Lays out the weights. O(weights).
    ///
    /// - Parameter width: the SIMD width to use; all give the same bits.
    package init(model: TokenizerModel, width: SIMDWidth = .widest) {
        self.model = model
        self.width = width
        layers = model.encoder.map { PackedRows($0.weight, offsets: $0.bias.values) }
        books = model.codebooks.map { book in
            var scaled = book
            scaled.scale(by: -2)
            return PackedRows(scaled, offsets: book.squaredNorms())
        }
    }

    /// Encodes `count` embeddings, stored row by row. 2 · weights operations for each, about 0.8 million with the default
    /// widths; fewer than 32 embeddings cost as much as 32.
    ///
    /// - Throws: `TokenizerError` (`tokenizer.wrong_width`) if there are not `count` embeddings of the model's width.
    package func encode(_ embeddings: [Float], count: Int) throws -> Encoding {
        guard count >= 0, embeddings.count == count * model.inputWidth else {
            throw TokenizerError(
                .wrongWidth,
                "\(embeddings.count) values are not \(count) embeddings of the model's width \(model.inputWidth)",
                remedy: "Give embeddings of the model and width that the tokenizer was trained on.")
        }
        let levels = model.levels
        var result = Encoding(
            count: count, codes: [Code](repeating: 0, count: count * levels),
            margins: [Float](repeating: 0, count: count * levels), quantisationErrors: [], latents: [], unusable: [])
        result.quantisationErrors.reserveCapacity(count)
        result.latents.reserveCapacity(count * model.latentWidth)
        for start in stride(from: 0, to: count, by: Self.tileRows) {
            let end = min(start + Self.tileRows, count)
            encodeTile(embeddings[(start * model.inputWidth)..<(end * model.inputWidth)])
            let begin = ContinuousClock.now
            quantiseTile(from: start, into: &result)
            quantising += begin.duration(to: .now)
        }
        return result
    }

    /// z = encoder(s) for one tile; the latents z become the columns of `activation`.
    private func encodeTile(_ embeddings: ArraySlice<Float>) {
        input.resize(rows: embeddings.count / model.inputWidth, columns: model.inputWidth)
        input.setRows(from: 0, embeddings)
        model.scaling.apply(to: &input)
        activation.set(input)
        for (number, layer) in layers.enumerated() {
            layer.multiply(activation, rectify: number + 1 < layers.count, into: output, by: width)
            swap(&activation, &output)
        }
    }

    /// Residual quantisation of the latents in `activation`, which become the residuals: from r_0 = z, at each level l
    /// c_l = argmin_i ‖r_{l−1} − e_i‖² and r_l = r_{l−1} − e_{c_l}, equation (2) of the paper that `TokenizerModel` names.
    ///
    /// - Parameter start: the row of `result` for the first column.
    private func quantiseTile(from start: Int, into result: inout Encoding) {
        let levels = model.levels
        activation.appendColumns(to: &result.latents)
        for level in 0..<levels {
            books[level].nearest(to: activation, indices: &codes, margins: &margins, by: width)
            for column in 0..<activation.columns {
                result.codes[(start + column) * levels + level] = Code(truncatingIfNeeded: codes[column])
                result.margins[(start + column) * levels + level] = margins[column]
            }
            activation.subtract(model.codebooks[level], at: codes)
        }
        activation.appendSquaredNorms(to: &result.quantisationErrors)
        for row in start..<(start + activation.columns) where !result.quantisationErrors[row].isFinite {
            result.unusable.append(row)
        }
    }
}
