package import Numerics

/// Assigns points to centres so that every cluster's size is within bounds and the sum of squared distances is least:
/// the assignment step of constrained k-means (Bradley, Bennett, Demiriz 2000), exactly.
///
/// It keeps the prices of the last assignment, which make the next one of the same points fast.
package struct ConstrainedAssignment: ClusterAssignment {
    /// Least and greatest number of points in a cluster.
    package let sizes: ClosedRange<Int>
    /// Σ squared distances of the last assignment.
    package private(set) var cost = 0.0
    private var prices: [Double]?

    /// - Parameter sizes: bounds on the size of every cluster.
    package init(sizes: ClosedRange<Int>) { self.sizes = sizes }

    /// Bounds for starting a codebook of N = `count` codes from `points` residuals: at least min(points / 2N, 50), at most
    /// four times that, as published. Where these bounds cannot hold (fewer than 2N points, or more than 200N), wider
    /// ones that can.
    package static func codebookSizes(points: Int, count: Int) -> ClosedRange<Int> {
        let least = min(points / (2 * count), 50)
        return least...max(4 * max(least, 1), points > 100 * count ? (2 * points + count - 1) / count : 1)
    }

    /// Bounds for clustering a level's codes: 10 to 60 for 256 codes in 10 clusters, as published, and the same shares of
    /// the mean size for other numbers.
    package static func clusterSizes(codes: Int, count: Int) -> ClosedRange<Int> {
        (100 * codes / (256 * count))...max(1, (600 * codes + 256 * count - 1) / (256 * count))
    }

    /// The exact optimum. Squared distances are computed and summed in double. O(points · count), and a little more for
    /// each point that the bounds move away from its nearest centre.
    ///
    /// - Precondition: the clusters can hold the points within the bounds, and every element is finite.
    package mutating func assign(_ points: Matrix, to centres: Matrix) -> (indices: [Int], distances: [Float]) {
        let costs = Self.squaredDistances(points, centres)
        // Few clusters of many points need many augmenting paths; starting prices from a sample save most of them.
        if prices == nil, points.rows >= 4096, points.rows >= 64 * centres.rows {
            prices = Self.samplePrices(costs, points: points.rows, count: centres.rows, sizes: sizes)
        }
        let solution = BoundedTransport(
            costs: costs, points: points.rows, count: centres.rows, sizes: sizes, startingPrices: prices)
        prices = solution.prices
        cost = solution.cost
        let indices = solution.cluster.map { Int($0) }
        return (indices, indices.enumerated().map { Float(max(0, costs[$0 * centres.rows + $1])) })
    }

    /// Prices for every eighth point, the bounds divided by eight.
    private static func samplePrices(
        _ costs: [Double], points: Int, count: Int, sizes: ClosedRange<Int>
    ) -> [Double] {
        let sample = Array(stride(from: 0, to: points, by: 8))
        var sampled: [Double] = []
        sampled.reserveCapacity(sample.count * count)
        for point in sample { sampled += costs[(point * count)..<((point + 1) * count)] }
        let bounds = (sizes.lowerBound / 8)...max((sizes.upperBound + 7) / 8, (sample.count + count - 1) / count)
        let start =
            sample.count >= 4096 && sample.count >= 64 * count
            ? samplePrices(sampled, points: sample.count, count: count, sizes: bounds) : nil
        return BoundedTransport(
            costs: sampled, points: sample.count, count: count, sizes: bounds, startingPrices: start
        ).prices
    }

    /// All squared distances (points, centres) in double, row by row.
    private static func squaredDistances(_ points: Matrix, _ centres: Matrix) -> [Double] {
        let (a, b) = (points.values.map(Double.init), centres.values.map(Double.init))
        let (n, count, width) = (points.rows, centres.rows, points.columns)
        var products = BLAS64.products(a, rows: n, b, rows: count, width: width)
        func norms(_ x: [Double], _ rows: Int) -> [Double] {
            (0..<rows).map { row in (0..<width).reduce(0.0) { $0 + x[row * width + $1] * x[row * width + $1] } }
        }
        let (own, others) = (norms(a, n), norms(b, count))
        for row in 0..<n {
            for column in 0..<count {
                products[row * count + column] = own[row] + others[column] - 2 * products[row * count + column]
            }
        }
        return products
    }
}
