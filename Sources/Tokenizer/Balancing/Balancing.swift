import Numerics
package import Core

/// The published procedure for the identifiers of a whole catalog: in each of up to 20 rounds, every group of items that
/// share an identifier is assigned again, alone, by Sinkhorn on the last level (section 3 of the paper that
/// `TokenizerModel` names, and its published code).
///
/// It is used for the first build of a new generation and for files of codes. The same input gives the same codes, but it is
/// not stable when items are added: one more item may move others.
///
/// ```swift
/// let encoding = try encoder.encode(vectors, count: count)
/// let outcome = try Balancing().balance(codes: encoding.codes, latents: encoding.latents, model: encoder.model)
/// ```
package struct Balancing: Sendable {
    /// Balances the codes of one group.
    package var sinkhorn = Sinkhorn()
    /// The greatest number of rounds.
    package var rounds = 20
    /// The greatest number of elements of a group's matrix of distances, 1 GiB in double; a larger group stays as it is.
    private static let greatestMatrix = 1 << 27

    package init() {}

    /// The result of balancing.
    package struct Outcome: Sendable, Equatable {
        /// Codes (n, L): the natural ones, except for the last level of items that collided.
        package var codes: [Code]
        /// Rounds that were run.
        package var rounds: Int
        /// Items whose last code is no longer the natural one.
        package var moved: Int
        /// Items that shared an identifier before.
        package var sharedBefore: Int
        /// Items that share an identifier now.
        package var sharedAfter: Int
    }

    /// Balances the codes of all items.
    ///
    /// An item of a group gets the code with the greatest element in its row of the balanced matrix. A group with fewer
    /// items than codes gives each item several codes of its own, which tie; the item gets the nearest of these, so that it
    /// moves no farther than it must. Items with equal latents always keep equal codes, and a group of such items alone is
    /// skipped. In every round all groups see the codes as they were when the round began.
    ///
    /// O(n log n), and in each round O(iterations · N) for every item of a group.
    ///
    /// - Parameters:
    ///   - codes: natural codes (n, L).
    ///   - latents: latent embeddings (n, d).
    ///   - unusable: rows without a usable embedding. They keep their codes, and do not count as sharing an identifier.
    /// - Throws: `TokenizerError` (`tokenizer.wrong_width`) if codes and latents are of different numbers of items, or a code
    ///   is not one of the model's.
    package func balance(
        codes: [Code], latents: [Float], unusable: [Int] = [], model: TokenizerModel
    ) throws -> Outcome {
        let (levels, width) = (model.levels, model.latentWidth)
        let count = codes.count / levels
        guard codes.count == count * levels, latents.count == count * width,
            codes.allSatisfy({ Int($0) < model.codesPerLevel })
        else {
            throw TokenizerError(
                .wrongWidth,
                "\(codes.count) codes and \(latents.count) latent values are not those of the same items of one model",
                remedy: "Give the codes and latents of one encoding by this model.")
        }
        let left = Set(unusable)
        var identifiers = (0..<count).map { row in
            Identifier(codes[(row * levels)..<((row + 1) * levels)]) ?? Identifier()
        }
        var buckets = IdentifierBuckets(identifiers, of: (0..<count).lazy.filter { !left.contains($0) })
        let candidates = rowsThatMayMeet(buckets, identifiers, levels: levels)
        var outcome = Outcome(
            codes: codes, rounds: 0, moved: 0, sharedBefore: buckets.sharedItems, sharedAfter: buckets.sharedItems)
        let group = GroupDistances(codes: codes, latents: latents, model: model)
        while outcome.rounds < rounds {
            let groups = buckets.shared.filter { rows in
                rows.count * model.codesPerLevel <= Self.greatestMatrix && !group.allEqual(rows)
            }
            guard !groups.isEmpty else { break }
            for rows in groups {
                for (row, code) in zip(rows, assign(Array(rows), group)) {
                    outcome.codes[row * levels + levels - 1] = code
                    identifiers[row] = identifiers[row].prefix(levels - 1).appending(code)
                }
            }
            outcome.rounds += 1
            buckets = IdentifierBuckets(identifiers, of: candidates)
        }
        outcome.sharedAfter = buckets.sharedItems
        outcome.moved = (0..<count).count { outcome.codes[$0 * levels + levels - 1] != codes[$0 * levels + levels - 1] }
        return outcome
    }

    /// The rows whose first L − 1 codes are those of an item that shares its identifier. Balancing changes last codes
    /// alone, so all other rows keep an identifier of their own.
    private func rowsThatMayMeet(_ buckets: IdentifierBuckets, _ identifiers: [Identifier], levels: Int) -> [Int] {
        let prefixes = Set(buckets.shared.map { identifiers[$0[$0.startIndex]].prefix(levels - 1) })
        return prefixes.isEmpty ? [] : buckets.rows.filter { prefixes.contains(identifiers[$0].prefix(levels - 1)) }
    }

    /// The last codes of a group.
    private func assign(_ rows: [Int], _ group: GroupDistances) -> [Code] {
        let distances = group.distances(of: rows)
        let balanced = sinkhorn.balance(distances)
        let codes = distances.columns
        var result: [Code] = []
        for (index, row) in rows.enumerated() {
            // Equal rows of the matrix may differ in their last bits after Sinkhorn, and must not be separated by them.
            if let twin = rows[..<index].firstIndex(where: { group.areEqual($0, row) }) {
                result.append(result[twin])
                continue
            }
            let own = (index * codes)..<((index + 1) * codes)
            let bound = (balanced[own].max() ?? 0) * (1 - 1e-12)
            var nearest: Int?
            for code in 0..<codes where balanced[index * codes + code] >= bound {
                if distances[index, code] < nearest.map({ distances[index, $0] }) ?? .infinity { nearest = code }
            }
            result.append(Code(truncatingIfNeeded: nearest ?? 0))
        }
        return result
    }
}

/// Distances of some items to the codes of the last level.
private struct GroupDistances {
    /// Natural codes (n, L). The levels before the last stay as they are, so the residuals do not change between rounds.
    let codes: [Code]
    /// Latent embeddings (n, d).
    let latents: [Float]
    let model: TokenizerModel

    /// Whether two latents have the same bits.
    func areEqual(_ left: Int, _ right: Int) -> Bool {
        let width = model.latentWidth
        return (0..<width).allSatisfy {
            latents[left * width + $0].bitPattern == latents[right * width + $0].bitPattern
        }
    }

    func allEqual(_ rows: ArraySlice<Int>) -> Bool {
        rows.dropFirst().allSatisfy { areEqual($0, rows[rows.startIndex]) }
    }

    /// ‖r_{L−1} − e‖² of each row's residual before the last level and each code e of the last level, (rows, N).
    ///
    /// Not by a matrix product, whose last bits depend on a row's position in the group, and with the terms added in order:
    /// the codes of a group with ties may depend on the last bits.
    func distances(of rows: [Int]) -> Matrix {
        let (levels, width, book) = (model.levels, model.latentWidth, model.codebooks[model.levels - 1])
        var values: [Float] = []
        values.reserveCapacity(rows.count * book.rows)
        for row in rows {
            let residual = model.codebooks.residual(
                of: latents[(row * width)..<((row + 1) * width)],
                after: codes[(row * levels)..<((row + 1) * levels - 1)])
            book.values.withUnsafeBufferPointer { book in
                residual.withUnsafeBufferPointer { residual in
                    for start in stride(from: 0, to: book.count, by: width) {
                        var sum: Float = 0
                        for column in 0..<width {
                            let difference = residual[column] - book[start + column]
                            sum += difference * difference
                        }
                        values.append(sum)
                    }
                }
            }
        }
        return Matrix(rows: rows.count, columns: book.rows, values)
    }
}
