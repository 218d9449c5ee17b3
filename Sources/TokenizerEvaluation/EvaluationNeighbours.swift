import Tokenizer
package import Numerics
import Core

/// How the similarity of two embeddings x and y is measured.
package enum Similarity: String, Sendable, Codable, CaseIterable {
    /// ⟨x, y⟩ / (‖x‖ ‖y‖); 0 if one of them is zero.
    case cosine
    /// ⟨x, y⟩
    case innerProduct = "inner_product"
}

/// Exact search for nearest neighbours among the rows of a matrix, by one matrix product for each block of rows.
package struct NeighbourSearch {
    /// The rows, in blocks of `keysAtOnce`.
    private let blocks: [Matrix]
    private let rows: Int

    /// Rows of a block. With `queriesAtOnce` it is small enough for the products to stay in the second-level cache.
    private static let keysAtOnce = 1024
    /// Queries of a matrix product.
    private static let queriesAtOnce = 128

    /// Copies the matrix, with rows of unit length for cosine. O(elements).
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

    /// For each query, a row, the most similar *other* row, the lowest of equally similar ones; nil if there is no other.
    ///
    /// 2 · queries · rows · width operations, on as many threads as `Parallel.withThreads` allows.
    package func nearest(of queries: [Int]) -> [Int?] {
        var result: [Int?] = []
        result.reserveCapacity(queries.count)
        var (products, points) = (Matrix(), Matrix())
        for start in stride(from: 0, to: queries.count, by: Self.queriesAtOnce) {
            let chunk = queries[start..<min(start + Self.queriesAtOnce, queries.count)]
            points.resize(rows: chunk.count, columns: blocks[0].columns)
            for (index, row) in chunk.enumerated() {
                points.setRows(from: index, blocks[row / Self.keysAtOnce].row(row % Self.keysAtOnce))
            }
            var best = [Float](repeating: .infinity, count: chunk.count)
            var found = [Int?](repeating: nil, count: chunk.count)
            for (number, block) in blocks.enumerated() {
                let first = number * Self.keysAtOnce
                products.resize(rows: block.rows, columns: chunk.count)
                // Negated, so that the least is the most similar. A row is not its own neighbour.
                BLAS.multiply(block, points, transposeB: true, alpha: -1, into: &products)
                for (index, row) in chunk.enumerated() where row / Self.keysAtOnce == number {
                    products[row - first, index] = .infinity
                }
                var nearest = [Int](repeating: 0, count: chunk.count)
                var margins = [Float](repeating: 0, count: chunk.count)
                Nearest.inColumns(
                    products, offsets: [Float](repeating: 0, count: block.rows), codes: &nearest, margins: &margins)
                for (index, key) in nearest.enumerated() where products[key, index] < best[index] {
                    best[index] = products[key, index]
                    found[index] = first + key
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
        /// How similarity was measured.
        package var similarity: Similarity
        /// Items that have such an embedding.
        package var items: Int
        /// Items whose neighbour was searched: all, or a sample.
        package var queries: Int
        /// The mean over these items and the levels (Table 4 of the paper).
        package var share: Double
        /// The mean over these items for each level.
        package var shareByLevel: [Double]
        /// The mean for two items drawn at random. If few codes are in use, it is large, and so is `share`.
        package var shareByChance: Double

        enum CodingKeys: String, CodingKey {
            case similarity, items, queries, share
            case shareByLevel = "share_by_level"
            case shareByChance = "share_by_chance"
        }
    }
}

extension Evaluation.NeighbourOverlap {
    /// Compares the codes of each pair. O((pairs + population) · L).
    ///
    /// - Parameters:
    ///   - items: items that have such an embedding.
    ///   - pairs: rows of items and of their neighbours.
    ///   - codes: natural codes (n, L).
    ///   - population: the rows among which neighbours were searched.
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
        // By chance: Σ_c n_c (n_c − 1) / (n (n − 1)) for each level, n_c items of n having code c.
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
