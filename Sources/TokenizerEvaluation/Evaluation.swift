package import Tokenizer
package import Numerics
import Core

/// How well a tokenizer suits a catalog: the measures of the paper that `TokenizerModel` names, and those that the operator
/// of a catalog needs.
///
/// All figures are of natural codes, before any collision policy. `letter tokenizer evaluate --json` prints it as JSON;
/// Schema/evaluation.md describes every key.
package struct Evaluation: Sendable, Codable, Equatable {
    /// `letter-evaluation/1`.
    package var format = Self.currentFormat
    /// Items evaluated.
    package var items: Int
    /// Number of levels L.
    package var levels: Int
    /// Number of codes N of each level.
    package var codesPerLevel: Int
    /// How many items share an identifier.
    package var collisions: Collisions
    /// How evenly the codes of each level are used.
    package var usage: [LevelUsage]
    /// The first level's codes by frequency, in groups of 15 (Figure 6 of the paper).
    package var firstLevelGroups: [CodeGroup]
    /// Quantisation and reconstruction errors of all items.
    package var errors: ErrorFigures
    /// The same errors of the items that training has not seen; nil if these are not known.
    package var unseenErrors: ErrorFigures?
    /// Codes shared with the nearest neighbour by CF embedding (Table 4 of the paper); nil without CF embeddings.
    package var collaborativeNeighbours: NeighbourOverlap?
    /// Codes shared with the nearest neighbour by semantic embedding.
    package var semanticNeighbours: NeighbourOverlap
    /// How pure the prefixes are in categories; nil if no categories were given.
    package var purity: CategoryPurity?

    /// The format that this program writes.
    package static let currentFormat = "letter-evaluation/1"

    enum CodingKeys: String, CodingKey {
        case format, items, levels
        case codesPerLevel = "codes_per_level"
        case collisions, usage
        case firstLevelGroups = "first_level_groups"
        case errors
        case unseenErrors = "unseen_errors"
        case collaborativeNeighbours = "cf_neighbours"
        case semanticNeighbours = "semantic_neighbours"
        case purity
    }
}

/// The data of an evaluation, one row for each item.
package struct EvaluationInput: Sendable {
    /// Semantic embeddings (n, D), as the catalog has them.
    package var semantic: Matrix
    /// CF embeddings (n, any width); nil for none.
    package var collaborative: Matrix?
    /// Whether each item has a CF embedding; empty if all have one.
    package var collaborativeMask: [Bool] = []
    /// Rows that training has not seen; nil if they are not known.
    package var unseen: [Int]?
    /// The path of categories of each item, from the root; empty for an item that has none. Nil for no categories at all.
    package var categories: [[String]]?
    /// How the similarity of two embeddings is measured.
    package var similarity = Similarity.cosine
    /// The greatest number of items whose neighbours are searched; of more items a sample is drawn with a fixed seed.
    package var neighbourQueries = 20_000
    /// Threads of the search for neighbours.
    package var threads = 2

    package init(semantic: Matrix) {
        self.semantic = semantic
    }
}

/// Evaluates one model.
package struct Evaluator {
    /// The model evaluated.
    package let model: TokenizerModel

    package init(model: TokenizerModel) {
        self.model = model
    }

    /// The figures, and what the drawings of a report need besides them.
    package struct Result: Sendable {
        /// The figures.
        package var evaluation: Evaluation
        /// The number of items that have each code, (L, N).
        package var codeCounts: [[Int]]
    }

    /// Encodes all items and measures. Blocks the thread; memory is O(n · (D + L)).
    ///
    /// The search for neighbours takes min(n, `neighbourQueries`) · n · (D + CF width) multiplications, which is most of the
    /// time.
    ///
    /// - Parameter progress: called with the name of each step before it begins; what it throws ends the evaluation.
    /// - Throws: what `progress` throws; `TokenizerError`: `tokenizer.wrong_width`, `tokenizer.not_finite` for an embedding
    ///   that cannot be encoded, `tokenizer.bad_data` if there are no items or the input is of different numbers of items.
    package func evaluate(_ input: EvaluationInput, progress: (String) throws -> Void = { _ in }) throws -> Result {
        try check(input)
        let count = input.semantic.rows
        try progress("encoding")
        let (codes, errors) = try encode(input.semantic)
        let identifiers = (0..<count).map { row in
            Identifier(codes[(row * model.levels)..<((row + 1) * model.levels)]) ?? Identifier()
        }
        let counts = (0..<model.levels).map { level in
            var counts = [Int](repeating: 0, count: model.codesPerLevel)
            for row in 0..<count { counts[Int(codes[row * model.levels + level])] += 1 }
            return counts
        }
        try progress("collisions")
        let buckets = IdentifierBuckets(identifiers)
        let collisions = Evaluation.Collisions(buckets, content: ContentGroups(input.semantic).group)
        var purity: Evaluation.CategoryPurity?
        if let categories = input.categories {
            try progress("categories")
            purity = Evaluation.CategoryPurity(
                identifiers: identifiers, order: buckets.rows, levels: model.levels, categories: categories)
        }
        func overlap(_ matrix: Matrix, _ rows: [Int]) -> Evaluation.NeighbourOverlap {
            let queries = Self.sample(rows.count, atMost: input.neighbourQueries)
            let found = Parallel.withThreads(input.threads) {
                NeighbourSearch(matrix, similarity: input.similarity).nearest(of: queries)
            }
            let pairs = zip(queries, found).compactMap { query, neighbour in
                neighbour.map { (rows[query], rows[$0]) }
            }
            return Evaluation.NeighbourOverlap(
                similarity: input.similarity, items: rows.count, pairs: pairs, codes: codes, levels: model.levels,
                codesPerLevel: model.codesPerLevel, population: rows)
        }
        var collaborative: Evaluation.NeighbourOverlap?
        if let matrix = input.collaborative {
            try progress("CF neighbours")
            let mask = input.collaborativeMask
            let rows = (0..<count).filter { mask.isEmpty || mask[$0] }
            var kept = Matrix()
            kept.gather(rows, of: matrix)
            if !rows.isEmpty { collaborative = overlap(kept, rows) }
        }
        try progress("semantic neighbours")
        let semantic = overlap(input.semantic, Array(0..<count))
        let evaluation = Evaluation(
            items: count, levels: model.levels, codesPerLevel: model.codesPerLevel, collisions: collisions,
            usage: counts.map { Evaluation.LevelUsage(counts: $0) },
            firstLevelGroups: Evaluation.CodeGroup.groups(counts[0]), errors: errors.figures(Array(0..<count)),
            unseenErrors: input.unseen.map { errors.figures($0) }, collaborativeNeighbours: collaborative,
            semanticNeighbours: semantic, purity: purity)
        return Result(evaluation: evaluation, codeCounts: counts)
    }

    /// All rows, or if there are more than `limit`, that many of them, drawn without repetition with a fixed seed, in
    /// ascending order.
    private static func sample(_ count: Int, atMost limit: Int) -> [Int] {
        var rows = Array(0..<count)
        guard count > max(1, limit) else { return rows }
        var random = Random(seed: 1)
        random.shuffle(&rows)
        return rows.prefix(max(1, limit)).sorted()
    }

    private func check(_ input: EvaluationInput) throws {
        let count = input.semantic.rows
        func require(_ condition: Bool, _ what: String) throws {
            guard condition else {
                throw TokenizerError(.badData, what, remedy: "Check the catalog and the options.")
            }
        }
        try require(count > 0, "there is no item to evaluate")
        guard input.semantic.columns == model.inputWidth else {
            throw TokenizerError(
                .wrongWidth,
                "the embeddings have the width \(input.semantic.columns); the model takes \(model.inputWidth)",
                remedy: "Give the catalog that the tokenizer was trained for.")
        }
        if let matrix = input.collaborative {
            try require(
                matrix.rows == count && [0, count].contains(input.collaborativeMask.count),
                "there are CF embeddings of \(matrix.rows) items, and semantic embeddings of \(count)")
        }
        try require(
            input.categories.map { $0.count == count } ?? true, "there are categories of another number of items")
        try require(
            input.unseen?.allSatisfy { (0..<count).contains($0) } ?? true, "an unseen row is not one of the items")
    }
}
