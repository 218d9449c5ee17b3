package import Numerics

/// Fits the last codebooks so that they separate items which the levels before do not.
///
/// k-means puts its centres where residuals are dense, so that two items with nearly equal residuals and equal codes so
/// far share the next code too. Here k-means runs in rounds: the residuals of items that share an identifier after a round
/// become codes of the next round, and stay fixed while the other centres move, so that such an item has its nearest code
/// at distance 0. Where the last level has too few codes for all of them, the level before helps in the same way. The
/// codebooks of the round with the fewest collisions are taken.
package struct SeparatingCodebook {
    /// A codebook, and the nearest of its codes for each point.
    package typealias Level = (centres: Matrix, indices: [Int])

    /// Codes of the levels before, level by level, of each point to be fitted.
    private let codes: [[Int]]

    /// The most rounds, of the last level and of the one before it.
    private static let rounds = 12
    private static let outerRounds = 4

    /// - Parameter codes: codes of the levels before, level by level, of each point to be fitted.
    package init(below codes: [[Int]]) { self.codes = codes }

    /// The last `levels` codebooks, 1 or 2, of `count` codes each, for the points (n, d). At most seven eighths of a
    /// level's codes are residuals of single items.
    /// O(rounds · iterations · n · count · d), four times that at most for two levels.
    package func fit(_ points: Matrix, levels: Int, into count: Int, random: inout Random) -> [Level] {
        guard levels > 1 else {
            return [last(points, into: count, random: &random).level]
        }
        var pinned: [Int] = []
        var best: (levels: [Level], collisions: Int)?
        for _ in 0..<Self.outerRounds {
            let upper = Self.level(points, pinned, count, &random)
            var residual = points
            residual.subtract(rows: upper.indices, of: upper.centres)
            let lower = SeparatingCodebook(below: codes + [upper.indices]).last(residual, into: count, random: &random)
            if lower.collisions < best?.collisions ?? .max { best = ([upper, lower.level], lower.collisions) }
            guard pin(&pinned, of: lower.buckets, points, limit: count * 7 / 8) else { break }
        }
        return best?.levels ?? []
    }

    /// The last codebook, how many items beyond the first share an identifier, and which do.
    private func last(
        _ points: Matrix, into count: Int, random: inout Random
    ) -> (level: Level, collisions: Int, buckets: [[Int]]) {
        var pinned: [Int] = []
        var best: (level: Level, collisions: Int, buckets: [[Int]])?
        for _ in 0..<Self.rounds {
            let level = Self.level(points, pinned, count, &random)
            let buckets = buckets(level.indices)
            let collisions = buckets.reduce(0) { $0 + $1.count - 1 }
            if collisions < best?.collisions ?? .max { best = (level, collisions, buckets) }
            guard pin(&pinned, of: buckets, points, limit: count * 7 / 8) else { break }
        }
        return best ?? ((Matrix(), []), 0, [])
    }

    private static func level(_ points: Matrix, _ pinned: [Int], _ count: Int, _ random: inout Random) -> Level {
        let centres = KMeans().cluster(points, pinned: pinned, into: count, random: &random).centres
        return (centres, Nearest.rows(of: centres, to: points).indices)
    }

    /// Pins points of every group with more than one distinct point, except points equal to a pinned one but for
    /// rounding.
    ///
    /// - Returns: whether a point was pinned: false if there was none, or no code left for one.
    private func pin(_ pinned: inout [Int], of buckets: [[Int]], _ points: Matrix, limit: Int) -> Bool {
        // Closer than a ten-thousandth of their usual length: these are items with equal embeddings.
        let tolerance = 1e-8 * points.squaredNorms().reduce(0) { $0 + Double($1) } / Double(max(1, points.rows))
        func isKnown(_ point: Int, in others: [Int]) -> Bool {
            others.contains { other in
                let distance = zip(points.row(point), points.row(other)).reduce(0.0) {
                    $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1)
                }
                return distance <= tolerance
            }
        }
        let before = pinned.count
        for bucket in buckets {
            var members: [Int] = []
            for point in bucket where members.count < limit && !isKnown(point, in: members) { members.append(point) }
            guard members.count > 1 else { continue }
            for member in members where pinned.count < limit && !isKnown(member, in: pinned) { pinned.append(member) }
        }
        return pinned.count > before
    }

    /// Groups of more than one point with the same codes, this level's included, in the order of their codes.
    private func buckets(_ last: [Int]) -> [[Int]] {
        // Up to eight codes of 16 bits.
        var keys = [UInt128](repeating: 0, count: last.count)
        for level in codes + [last] {
            for (point, code) in level.enumerated() { keys[point] = keys[point] << 16 | UInt128(code) }
        }
        let sorted = keys.indices.sorted { (keys[$0], $0) < (keys[$1], $1) }
        var groups: [[Int]] = []
        var start = 0
        for end in 1...max(1, sorted.count) where end >= sorted.count || keys[sorted[end]] != keys[sorted[start]] {
            if end - start > 1 { groups.append(Array(sorted[start..<end])) }
            start = end
        }
        return groups
    }
}
