import Autodiff
import Numerics
import Training

/// Makes codebooks from the residuals of items by the current encoder.
struct CodebookFitting {
    private let network: TrainingNetwork
    /// Items that the encoder takes at a time.
    private let batch: Int
    /// Whether the clusters of k-means have bounds on their sizes.
    private let isBounded: Bool
    /// Codes N of each level.
    private let count: Int

    /// Most points, and most costs of assignments, that codebooks are fitted to; memory is 16 bytes a cost.
    private static let mostPoints = 65_536
    private static let mostCosts = 1 << 24
    /// Most codes whose clusters have bounds: the flow needs 12 bytes for each pair.
    private static let boundedCodes = 4096

    init(_ network: TrainingNetwork, _ settings: TrainingSettings) {
        self.network = network
        batch = settings.batch
        count = network.codebooks[0].value.rows
        isBounded = settings.boundsCodebooks && count <= Self.boundedCodes
    }

    /// Fits codebooks by constrained k-means to what the levels before leave of the latents.
    ///
    /// To at most 65,536 items, and fewer where there are more than 256 codes; with more than 4,096 codes, and where the
    /// settings say so, the clusters have no bounds.
    ///
    /// - Parameters:
    ///   - first: levels before this one stay as they are.
    ///   - separating: whether the last two levels are to separate items that the others do not (`SeparatingCodebook`).
    func fit(_ data: TrainingData, from first: Int = 0, separating: Bool = false, random: inout Random) throws {
        let items = draw(
            min(Self.mostPoints, isBounded ? Self.mostCosts / count : Self.mostPoints), of: data, &random)
        var residual = try latents(items, data)
        let method =
            isBounded ? KMeans(sizes: ConstrainedAssignment.codebookSizes(points: items.count, count: count)) : KMeans()
        let books = network.codebooks
        // Levels that k-means alone makes; the separating ones, two at most, come after them.
        let plain = separating ? max(first, books.count - 2) : books.count
        var codes: [[Int]] = []
        for (level, book) in books[..<plain].enumerated() {
            var bounded: [Int]?
            if level >= first {
                let (centres, indices) = method.cluster(residual, into: count, random: &random)
                (book.value, bounded) = (centres, separating ? nil : indices)
            }
            codes.append(bounded ?? Nearest.rows(of: book.value, to: residual).indices)
            residual.subtract(rows: codes[level], of: book.value)
        }
        if plain < books.count {
            let fitted = SeparatingCodebook(below: codes)
                .fit(residual, levels: books.count - plain, into: count, random: &random)
            for (book, level) in zip(books[plain...], fitted) { book.value = level.centres }
        }
    }

    /// Moves codes that no item had in the last epoch to residuals of items drawn at random, and makes their moments
    /// zero.
    ///
    /// - Parameter usage: how many items had each code, level by level.
    func reseed(
        usage: [[Int]], _ optimizer: AdamWOptimizer, _ data: TrainingData, random: inout Random
    ) throws {
        let items = draw(batch, of: data, &random)
        var residual = try latents(items, data)
        for (level, book) in network.codebooks.enumerated() {
            let unused = usage[level].indices.filter { usage[level][$0] == 0 }
            for (code, item) in zip(unused, 0..<items.count) {
                book.value.setRows(from: code, residual.row(item))
                optimizer.forget(book, row: code)
            }
            residual.subtract(rows: Nearest.rows(of: book.value, to: residual).indices, of: book.value)
        }
    }

    /// Latents of some items, (items, d).
    private func latents(_ items: [Int], _ data: TrainingData) throws -> Matrix {
        var result = Matrix(rows: items.count, columns: network.codebooks[0].value.columns)
        for start in stride(from: 0, to: items.count, by: batch) {
            let rows = try data.scaled(Array(items[start..<min(start + batch, items.count)]))
            result.setRows(from: start, network.encode(rows).values[...])
        }
        return result
    }

    /// Some items, all different, drawn at random where there are more than `count`.
    private func draw(_ count: Int, of data: TrainingData, _ random: inout Random) -> [Int] {
        var items = Array(0..<data.items)
        guard items.count > count else { return items }
        random.shuffle(&items)
        return Array(items.prefix(count))
    }
}
