import Numerics
package import Core

/// Distances of one item to all codes of a level, after any prefix: what the collision policy `reassign` compares.
///
/// Plain loops instead of matrix products, because an item needs a few thousand operations only. The bits depend on the
/// numbers alone, but the sums are not those of `FrozenEncoder`: a distance may differ in its last bits from the one that
/// gave the natural code. Sendable: any number of threads may use one value.
package struct ResidualDistances: Sendable {
    private let codebooks: [Matrix]

    package init(model: TokenizerModel) {
        codebooks = model.codebooks
    }

    /// Width d of a latent embedding.
    package var latentWidth: Int { codebooks[0].columns }

    /// ‖r_l − e‖² for all codes e of level l = `prefix.count`, counted from 0, (N), where r_l is the residual that `prefix`
    /// leaves of a latent embedding. O(levels · d + N · d); allocates the residual, and `result` if it does not have N
    /// elements yet.
    ///
    /// - Throws: `TokenizerError` (`tokenizer.wrong_prefix`) if the latent has another width, or the prefix has as many codes
    ///   as there are levels or a code that is not one of the model's.
    package func distances(latent: ArraySlice<Float>, below prefix: Identifier, into result: inout [Float]) throws {
        guard latent.count == latentWidth, prefix.count < codebooks.count,
            prefix.codes.allSatisfy({ Int($0) < codebooks[0].rows })
        else {
            throw TokenizerError(
                .wrongPrefix,
                "a latent embedding of \(latent.count) values with the prefix '\(prefix)' does not belong to this model",
                remedy: "Give \(latentWidth) values and a prefix of fewer than \(codebooks.count) codes of the model.")
        }
        codebooks[prefix.count].squaredDistances(
            to: codebooks.residual(of: latent, after: prefix.codes), into: &result)
    }
}

extension [Matrix] {
    /// r_l = z − e_{c_1} − … − e_{c_l}: the residual that the codes c of the first l levels leave of a latent embedding z,
    /// subtracted level by level. These matrices are the codebooks. O(l · d).
    ///
    /// - Precondition: there are no more codes than codebooks, each is one of its level's, and the latent is as wide as they
    ///   are.
    func residual(of latent: ArraySlice<Float>, after codes: some Sequence<Code>) -> [Float] {
        var residual = [Float](latent)
        for (book, code) in zip(self, codes) {
            for (column, value) in book.row(Int(code)).enumerated() { residual[column] -= value }
        }
        return residual
    }
}
