import Numerics
package import Vocabulary

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
/// The same vector gives the same bits whatever else is in the batch, wherever it stands in it and on however many
/// threads: every product has one fixed shape (a tile, padded with zeros) and runs on one thread. Different CPU kernels
/// (`BLASKernels.name`) may differ in the last bits.
///
/// Not thread-safe: it owns its scratch memory. One for each thread; any number may run at once. Calls block the thread,
/// so they do not belong on the cooperative pool.
package final class FrozenEncoder {
    /// The model in use.
    package let model: TokenizerModel
    /// Places in a tile.
    private var tileRows = 0
    /// The places in use: those that were found to compute alike. Embeddings in a tile are as many.
    package private(set) var places = 0..<0
    /// −2 · codebook of each level, so that one product gives −2⟨e, r⟩.
    private let scaledBooks: [Matrix]
    /// ‖e‖² of each level's codes.
    private let bookNorms: [[Float]]

    /// Time spent on codebooks, of all calls so far; the rest of a call's time is the encoder's.
    package private(set) var quantising = Duration.zero

    // Scratch. The input holds a tile's embeddings as rows; all that follows holds them as columns, which is the side
    // on which kernels treat all places alike.
    private var input = Matrix()
    private var activations: [Matrix] = []
    private var products = Matrix()
    private var tileCodes: [Int] = []
    private var tileMargins: [Float] = []

    /// Prepares for a model. A call encodes whole tiles, so one embedding costs as much as a tile (about 2 ms for the
    /// default and the usual widths).
    ///
    /// The tile is tried with one embedding in every place, and only the places that give the bits of the middle one
    /// are used: Haswell's kernels compute the first and the last 8 otherwise than the rest.
    ///
    /// - Precondition: `tileRows` is positive. Results may differ in the last bits between tile sizes.
    package init(model: TokenizerModel, tileRows: Int = 192) {
        precondition(tileRows > 0, "a tile has at least one row")
        self.model = model
        scaledBooks = model.codebooks.map { book in
            var scaled = book
            scaled.scale(by: -2)
            return scaled
        }
        bookNorms = model.codebooks.map { $0.squaredNorms() }
        for rows in [tileRows, 192, 384, 96, 48, 16, 8, 4, 1] {
            allocate(rows: rows)
            places = agreeingPlaces()
            if 2 * places.count >= rows { break }
        }
    }

    /// Scratch memory for tiles of this many embeddings.
    private func allocate(rows: Int) {
        tileRows = rows
        input = Matrix(rows: rows, columns: model.inputWidth)
        activations = model.encoder.map { Matrix(rows: $0.weight.rows, columns: rows) }
        products = Matrix(rows: model.codesPerLevel, columns: rows)
        tileCodes = [Int](repeating: 0, count: rows)
        tileMargins = [Float](repeating: 0, count: rows)
    }

    /// The places around the middle that give one embedding the same bits in every layer and at every level.
    private func agreeingPlaces() -> Range<Int> {
        var random = Random(seed: 1)
        let vector = random.normalMatrix(rows: 1, columns: model.inputWidth, deviation: 1).values
        places = 0..<tileRows
        return BLAS.withThreads(1) {
            encodeTile((0..<tileRows).flatMap { _ in vector }[...])
            var agreeing = places
            for activation in activations { agreeing.formCut(activation.columnsEqual(to: tileRows / 2)) }
            for level in 0..<model.levels {
                nearest(level: level)
                agreeing.formCut(products.columnsEqual(to: tileRows / 2))
            }
            return agreeing
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
        BLAS.withThreads(1) {
            for start in stride(from: 0, to: count, by: places.count) {
                let end = min(start + places.count, count)
                encodeTile(vectors[(start * model.inputWidth)..<(end * model.inputWidth)])
                let begin = ContinuousClock.now
                quantiseTile(from: start, filled: end - start, into: &result)
                quantising += begin.duration(to: .now)
            }
        }
        return result
    }

    /// Runs the encoder over one tile, zeros around what is given; the latents are the last activation's columns.
    private func encodeTile(_ vectors: ArraySlice<Float>) {
        input.fill(0)
        input.setRows(from: places.lowerBound, vectors)
        model.scaling.apply(to: &input)
        for (number, layer) in model.encoder.enumerated() {
            // Two neighbours in one array cannot be read and written at once: take the output out meanwhile.
            var output = Matrix()
            swap(&output, &activations[number])
            if number == 0 {
                BLAS.multiply(layer.weight, input, transposeB: true, into: &output)
            } else {
                BLAS.multiply(layer.weight, activations[number - 1], into: &output)
            }
            output.addBiasToRows(layer.bias, rectify: number + 1 < model.encoder.count)
            swap(&output, &activations[number])
        }
    }

    /// Quantises the latents in the last activation, which become residuals (2), into rows of a result.
    private func quantiseTile(from start: Int, filled: Int, into result: inout Encoding) {
        let (levels, last) = (model.levels, activations.count - 1)
        activations[last].appendColumns(places.prefix(filled), to: &result.latents)
        for level in 0..<levels {
            nearest(level: level)
            for (row, place) in places.prefix(filled).enumerated() {
                result.codes[(start + row) * levels + level] = Code(truncatingIfNeeded: tileCodes[place])
                result.margins[(start + row) * levels + level] = tileMargins[place]
            }
            activations[last].subtractFromColumns(model.codebooks[level], at: tileCodes)
        }
        let errors = activations[last].squaredColumnNorms()[places.prefix(filled)]
        for (row, error) in errors.enumerated() where !error.isFinite { result.unusable.append(start + row) }
        result.quantisationErrors += errors
    }

    /// Nearest codes of a level to the residuals in the last activation, into the tile's results.
    private func nearest(level: Int) {
        BLAS.multiply(scaledBooks[level], activations[activations.count - 1], into: &products)
        Nearest.inColumns(products, offsets: bookNorms[level], codes: &tileCodes, margins: &tileMargins)
    }
}

extension Range<Int> {
    /// Keeps what is also in another range; both hold one number in common.
    fileprivate mutating func formCut(_ other: Range<Int>) {
        self = Swift.max(lowerBound, other.lowerBound)..<Swift.min(upperBound, other.upperBound)
    }

    /// The first `count`.
    fileprivate func prefix(_ count: Int) -> Range<Int> { lowerBound..<(lowerBound + count) }
}
