import Numerics
package import Core

/// How far an item is from every code of a level, below any prefix: what the collision policy asks about single items.
///
/// Plain loops, not matrix products: a few thousand operations, with bits that depend on the numbers alone. A code's
/// distance may so differ in its last bits from what `FrozenEncoder` compared. Sendable; any number of threads may ask.
package struct ResidualDistances: Sendable {
    private let codebooks: [Matrix]

    package init(model: TokenizerModel) {
        codebooks = model.codebooks
    }

    /// Width of a latent embedding.
    package var latentWidth: Int { codebooks[0].columns }

    /// Squared distances from what `prefix` leaves of a latent embedding to the codes of level `prefix.count`, (N).
    ///
    /// O(levels · d + N · d); allocates only where `result` is not of N elements yet.
    ///
    /// - Throws: `tokenizer.wrong_prefix` if the latent has another width or the prefix is no prefix of the model's.
    package func distances(latent: ArraySlice<Float>, below prefix: Identifier, into result: inout [Float]) throws {
        guard latent.count == latentWidth, prefix.count < codebooks.count,
            prefix.codes.allSatisfy({ Int($0) < codebooks[0].rows })
        else {
            throw TokenizerFailure(
                "wrong_prefix", .invalid,
                "a latent of \(latent.count) values with the prefix '\(prefix)' is not one of this model",
                remedy: "Give \(latentWidth) values and fewer than \(codebooks.count) codes of its codebooks.")
        }
        var residual = Array(latent)
        for level in 0..<prefix.count {
            for (column, value) in codebooks[level].row(Int(prefix[level])).enumerated() { residual[column] -= value }
        }
        codebooks[prefix.count].squaredDistances(to: residual, into: &result)
    }
}
