import Tokenizer
package import Numerics
import Core

/// What nearness of two embeddings is.
package enum Similarity: String, Sendable, Codable, CaseIterable {
    /// ⟨x, y⟩ / (‖x‖ ‖y‖); 0 where one of them is zero.
    case cosine
    /// ⟨x, y⟩
    case innerProduct = "inner_product"
}

/// Exact nearest neighbours among the rows of a matrix, by blocks of one matrix product each.
package struct NeighbourSearch {
    /// Rows in blocks of this many, each a matrix.
    private let blocks: [Matrix]
    private let rows: Int

    /// Rows of keys in a block, and queries searched at once: their products stay in the second-level cache.
    private static let keysAtOnce = 1024
    private static let queriesAtOnce = 128

    /// Prepares to search among the rows; a copy of the matrix, at unit length for cosine.
    package init(_ matrix: Matrix, similarity: Similarity) {
        var scaled = matrix
        if similarity == .cosine { scaled.normaliseRows(factor: 1) }
        rows = matrix.rows
        let (height, width) = (matrix.rows, matrix.columns)
        blocks = stride(from: 0, to: height, by: Self.keysAtOnce).map { start in
            let end = min(start + Self.keysAtOnce, height)
            return Matrix(rows: end - start, columns: width, Array(scaled.values[(start * width)..<(end * width)]))
        }
    }

    /// For each of these rows the most similar *other* row, the lowest of equals; nil where there is no other.
    ///
    /// 2 · queries · rows · width operations; the number of threads is that of `Parallel.withThreads`.
    package func nearest(of queries: [Int]) -> [Int?] {
        var result: [Int?] = []
        result.reserveCapacity(queries.count)
        var (products, points) = (Matrix(), Matrix())
        for start in stride(from: 0, to: queries.count, by: Self.queriesAtOnce) {
            let part = queries[start..<min(start + Self.queriesAtOnce, queries.count)]
            points.resize(rows: part.count, columns: blocks[0].columns)
            for (place, row) in part.enumerated() {
                points.setRows(from: place, blocks[row / Self.keysAtOnce].row(row % Self.keysAtOnce))
            }
            var best = [Float](repeating: .infinity, count: part.count)
            var found = [Int?](repeating: nil, count: part.count)
            for (number, block) in blocks.enumerated() {
                let first = number * Self.keysAtOnce
                products.resize(rows: block.rows, columns: part.count)
                // Negated, so that the least is the most similar; a row is no neighbour of its own.
                BLAS.multiply(block, points, transposeB: true, alpha: -1, into: &products)
                for (place, row) in part.enumerated() where row / Self.keysAtOnce == number {
                    products[row - first, place] = .infinity
                }
                var places = [Int](repeating: 0, count: part.count)
                var margins = [Float](repeating: 0, count: part.count)
                Nearest.inColumns(
                    products, offsets: [Float](repeating: 0, count: block.rows), codes: &places, margins: &margins)
                for (place, key) in places.enumerated() where products[key, place] < best[place] {
                    best[place] = products[key, place]
                    found[place] = first + key
                }
            }
            result += found
        }
        return result
    }
}

extension Evaluation {
    /// Share of equal codes at the same position between an item and its nearest neighbour.
    package struct NeighbourOverlap: Sendable, Codable, Equatable {
        /// What nearness was.
        package var similarity: Similarity
        /// Items that have such an embedding.
        package var items: Int
        /// Items whose neighbour was looked for: all, or a sample.
        package var queries: Int
        /// Mean over these items and the levels (Table 4 of the paper).
        package var share: Double
        /// Mean over these items for each level.
        package var shareByLevel: [Double]
        /// The share that two items drawn at random have on average. Few codes in use make it great, and with it `share`.
        package var shareByChance: Double

        enum CodingKeys: String, CodingKey {
            case similarity, items, queries, share
            case shareByLevel = "share_by_level"
            case shareByChance = "share_by_chance"
        }
    }
}

extension Evaluation.NeighbourOverlap {
    /// - Parameters:
    ///   - pairs: rows of items and of their neighbours.
    ///   - codes: natural codes (n, L).
    ///   - population: rows that neighbours were looked for among.
    init(
        similarity: Similarity, items: Int, pairs: [(item: Int, neighbour: Int)], codes: [Code], levels: Int,
        codesPerLevel: Int, population: [Int]
    ) {
        self.similarity = similarity
        self.items = items
        queries = pairs.count
        var equal = [Int](repeating: 0, count: levels)
        for (item, neighbour) in pairs {
            for level in 0..<levels where codes[item * levels + level] == codes[neighbour * levels + level] {
                equal[level] += 1
            }
        }
        shareByLevel = equal.map { pairs.isEmpty ? 0 : Double($0) / Double(pairs.count) }
        share = shareByLevel.reduce(0, +) / Double(levels)
        // Σ n_c (n_c − 1) / (n (n − 1)) for each level.
        let count = Double(population.count)
        var chance = 0.0
        for level in 0..<levels where population.count > 1 {
            var counts = [Int](repeating: 0, count: codesPerLevel)
            for row in population { counts[Int(codes[row * levels + level])] += 1 }
            chance += counts.reduce(0.0) { $0 + Double($1) * Double($1 - 1) } / (count * (count - 1))
        }
        shareByChance = chance / Double(levels)
    }
}
