package import Numerics
package import Core

/// What a frozen tokenizer says of n embeddings, row by row.
package struct Encoding: Sendable, Equatable {
    /// How many embeddings there were.
    package var count: Int
    /// Natural codes, (n, L): the nearest code of each level to the residual.
    package var codes: [Code]
    /// Margins, (n, L): squared distance of the second-nearest code minus that of the nearest.
    package var margins: [Float]
    /// ‖r_L‖² of each, (n): squared length of what all levels together leave.
    package var quantisationErrors: [Float]
    /// Latent embeddings, (n, d).
    package var latents: [Float]
    /// Rows whose latent is not finite, because the embedding holds NaN or infinity or is too large: the codes there
    /// mean nothing.
    package var unusable: [Int]
}

/// Encodes embeddings with a frozen model.
///
/// The same vector gives the same bits whatever else is in the batch, wherever it stands in it, on however many threads and
/// on whatever processor: see `PackedRows`.
///
/// Not thread-safe: it owns its scratch memory. One for each thread; any number may run at once. Calls block the thread,
/// so they do not belong on the cooperative pool.
package final class FrozenEncoder {
    /// How sums are taken, to be kept beside codes: another name means that items at the border of two codes may get
    /// another one.
    package static let arithmetic = PackedRows.arithmetic

    /// The model in use.
    package let model: TokenizerModel
    private let layers: [PackedRows]
    /// −2 · codebook of each level, so that a product gives −2⟨e, r⟩, and ‖e‖² of its codes.
    private let books: [PackedRows]
    private let kind: VectorKind

    /// Time spent on codebooks, of all calls so far; the rest of a call's time is the encoder's.
    package private(set) var quantising = Duration.zero

    // Scratch: embeddings as rows, two activations by turns as columns, and what was found about the columns.
    private var input = Matrix()
    private var present = Panels(rows: 0, columns: 0)
    private var following = Panels(rows: 0, columns: 0)
    private var codes: [Int32] = []
    private var margins: [Float] = []

    /// Embeddings that are encoded together: as many as leave the activations in the second cache.
    private static let tileRows = 8 * Panels.width

    /// Prepares for a model: O(weights). Encoding one embedding then costs as much as 32.
    package init(model: TokenizerModel, vectors kind: VectorKind = .widest) {
        self.model = model
        self.kind = kind
        layers = model.encoder.map { PackedRows($0.weight, offsets: $0.bias.values) }
        books = model.codebooks.map { book in
            var scaled = book
            scaled.scale(by: -2)
            return PackedRows(scaled, offsets: book.squaredNorms())
        }
    }

    /// Encodes `count` embeddings, row by row in `vectors`. About 0.8 MFLOP each for the usual widths.
    ///
    /// - Throws: `TokenizerFailure` (`tokenizer.wrong_width`) if `vectors` is not `count` embeddings.
    package func encode(_ vectors: [Float], count: Int) throws -> Encoding {
        guard count >= 0, vectors.count == count * model.inputWidth else {
            throw TokenizerFailure(
                "wrong_width", .invalid,
                "\(vectors.count) values are not \(count) embeddings of the model's width \(model.inputWidth)",
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
            encodeTile(vectors[(start * model.inputWidth)..<(end * model.inputWidth)])
            let begin = ContinuousClock.now
            quantiseTile(from: start, into: &result)
            quantising += begin.duration(to: .now)
        }
        return result
    }

    /// Runs the encoder over one tile; the latents are then the present activation's columns.
    private func encodeTile(_ vectors: ArraySlice<Float>) {
        input.resize(rows: vectors.count / model.inputWidth, columns: model.inputWidth)
        input.setRows(from: 0, vectors)
        model.scaling.apply(to: &input)
        present.set(input)
        for (number, layer) in layers.enumerated() {
            layer.multiply(present, rectify: number + 1 < layers.count, into: following, by: kind)
            swap(&present, &following)
        }
    }

    /// Quantises the latents in the present activation, which become residuals (2), into rows of a result.
    private func quantiseTile(from start: Int, into result: inout Encoding) {
        let levels = model.levels
        present.appendColumns(to: &result.latents)
        for level in 0..<levels {
            books[level].nearest(to: present, indices: &codes, margins: &margins, by: kind)
            for column in 0..<present.columns {
                result.codes[(start + column) * levels + level] = Code(truncatingIfNeeded: codes[column])
                result.margins[(start + column) * levels + level] = margins[column]
            }
            present.subtract(model.codebooks[level], at: codes)
        }
        present.appendSquaredNorms(to: &result.quantisationErrors)
        for row in start..<(start + present.columns) where !result.quantisationErrors[row].isFinite {
            result.unusable.append(row)
        }
    }
}
