import Numerics
package import Core

/// The published balancing of a whole catalog: rounds in which every colliding group is re-assigned alone, by Sinkhorn
/// on the last level (docs/tokenizer.md, "Identifiers").
///
/// It belongs to a new generation's first build and to files of codes. It is not stable under appends: with one item
/// more, others may move. The same input gives the same codes.
///
/// ```swift
/// let encoding = try encoder.encode(vectors, count: count)
/// let outcome = try Balancing().balance(codes: encoding.codes, latents: encoding.latents, model: encoder.model)
/// ```
package struct Balancing: Sendable {
    /// Balances the codes of one group.
    package var sinkhorn = Sinkhorn()
    /// Rounds at most.
    package var rounds = 20
    /// Elements of a group's matrix of distances at most, 1 GiB in double precision; a larger group stays as it is.
    private static let greatestMatrix = 1 << 27

    package init() {}

    /// What balancing gave.
    package struct Outcome: Sendable, Equatable {
        /// Codes, (n, L): the natural ones but for the last level of items that collided.
        package var codes: [Code]
        /// Rounds run.
        package var rounds: Int
        /// Items whose last code is not the natural one.
        package var moved: Int
        /// Items that shared an identifier before, and that still do.
        package var sharedBefore: Int
        package var sharedAfter: Int
    }

    /// Balances.
    ///
    /// A group's items are re-assigned to the greatest element of their row of the balanced matrix. Where there are
    /// fewer items than codes that is a tie among all codes that an item has to itself; of these it takes the nearest,
    /// so that it moves no farther than it must. Items with equal latent embeddings never part; a group of nothing else
    /// is left alone. Each round costs iterations · N for every item in such a group.
    ///
    /// - Parameters:
    ///   - codes: natural codes, (n, L).
    ///   - latents: latent embeddings, (n, d).
    ///   - unusable: rows that mean nothing; they keep their codes, and nobody makes way for them.
    /// - Throws: `TokenizerFailure` (`tokenizer.wrong_width`) if codes and latents are not of as many items, or a code is
    ///   none of the model's.
    package func balance(
        codes: [Code], latents: [Float], unusable: [Int] = [], model: TokenizerModel
    ) throws -> Outcome {
        let (levels, width) = (model.levels, model.latentWidth)
        let count = codes.count / levels
        guard codes.count == count * levels, latents.count == count * width,
            codes.allSatisfy({ Int($0) < model.codesPerLevel })
        else {
            throw TokenizerFailure(
                "wrong_width", .invalid,
                "\(codes.count) codes and \(latents.count) values of latents are not those of one model's items",
                remedy: "Give the codes and latents of one encoding by this model.")
        }
        var buckets = Buckets()
        let left = Set(unusable)
        for row in 0..<count where !left.contains(row) {
            buckets.add(row, to: Identifier(codes[(row * levels)..<((row + 1) * levels)]) ?? Identifier())
        }
        var outcome = Outcome(
            codes: codes, rounds: 0, moved: 0, sharedBefore: buckets.sharedItems, sharedAfter: buckets.sharedItems)
        let residuals = Residuals(codes: codes, latents: latents, model: model)
        while outcome.rounds < rounds {
            let groups = buckets.shared().filter { _, rows in
                rows.count * model.codesPerLevel <= Self.greatestMatrix && !residuals.allEqual(rows)
            }
            guard !groups.isEmpty else { break }
            // All groups are as they were when the round began: what one does is seen by others in the next.
            let assignments = groups.map { assign($0.rows, residuals) }
            for ((identifier, rows), assigned) in zip(groups, assignments) {
                for (row, code) in zip(rows, assigned) where code != outcome.codes[row * levels + levels - 1] {
                    buckets.move(row, from: identifier, to: identifier.prefix(levels - 1).appending(code))
                    outcome.codes[row * levels + levels - 1] = code
                }
            }
            outcome.rounds += 1
        }
        outcome.sharedAfter = buckets.sharedItems
        outcome.moved = (0..<count).count { outcome.codes[$0 * levels + levels - 1] != codes[$0 * levels + levels - 1] }
        return outcome
    }

    /// The last codes of a group.
    private func assign(_ rows: [Int], _ residuals: Residuals) -> [Code] {
        let distances = residuals.distances(of: rows)
        let balanced = sinkhorn.balance(distances)
        let codes = distances.columns
        var result: [Code] = []
        for (place, row) in rows.enumerated() {
            // Equal rows of the matrix may differ in their last bits after Sinkhorn; they must not part.
            if let twin = rows[..<place].firstIndex(where: { residuals.areEqual($0, row) }) {
                result.append(result[twin])
                continue
            }
            let own = (place * codes)..<((place + 1) * codes)
            let bound = (balanced[own].max() ?? 0) * (1 - 1e-12)
            var nearest: Int?
            for code in 0..<codes where balanced[place * codes + code] >= bound {
                if distances[place, code] < nearest.map({ distances[place, $0] }) ?? .infinity { nearest = code }
            }
            result.append(Code(truncatingIfNeeded: nearest ?? 0))
        }
        return result
    }
}

/// What the levels before the last leave of latent embeddings, found when asked for.
private struct Residuals {
    let codes: [Code]
    let latents: [Float]
    let model: TokenizerModel

    /// Whether two latents are equal to the bit.
    func areEqual(_ left: Int, _ right: Int) -> Bool {
        let width = model.latentWidth
        return (0..<width).allSatisfy {
            latents[left * width + $0].bitPattern == latents[right * width + $0].bitPattern
        }
    }

    func allEqual(_ rows: [Int]) -> Bool { rows.dropFirst().allSatisfy { areEqual($0, rows[0]) } }

    /// Squared distances of rows to the codes of the last level, (rows, N).
    ///
    /// Element by element rather than by a matrix product, whose last bits depend on a row's place.
    func distances(of rows: [Int]) -> Matrix {
        let (levels, width, book) = (model.levels, model.latentWidth, model.codebooks[model.levels - 1])
        var values: [Float] = []
        values.reserveCapacity(rows.count * book.rows)
        for row in rows {
            var residual = Array(latents[(row * width)..<((row + 1) * width)])
            for level in 0..<(levels - 1) {
                let chosen = model.codebooks[level].row(Int(codes[row * levels + level]))
                for (place, value) in chosen.enumerated() { residual[place] -= value }
            }
            book.values.withUnsafeBufferPointer { book in
                residual.withUnsafeBufferPointer { residual in
                    for start in stride(from: 0, to: book.count, by: width) {
                        var sum: Float = 0
                        for place in 0..<width {
                            let difference = residual[place] - book[start + place]
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

/// Rows by identifier.
private struct Buckets {
    private var rows: [Identifier: [Int]] = [:]
    /// Identifiers of two rows or more.
    private var crowded: Set<Identifier> = []

    /// Rows that share their identifier.
    var sharedItems: Int { crowded.reduce(0) { $0 + (rows[$1]?.count ?? 0) } }

    mutating func add(_ row: Int, to identifier: Identifier) {
        rows[identifier, default: []].append(row)
        if rows[identifier, default: []].count == 2 { crowded.insert(identifier) }
    }

    mutating func move(_ row: Int, from: Identifier, to: Identifier) {
        rows[from]?.removeAll { $0 == row }
        if rows[from]?.count == 1 { crowded.remove(from) }
        add(row, to: to)
    }

    /// Identifiers that are shared, and their rows, both in order.
    func shared() -> [(identifier: Identifier, rows: [Int])] {
        crowded.sorted().map { ($0, (rows[$0] ?? []).sorted()) }
    }
}
