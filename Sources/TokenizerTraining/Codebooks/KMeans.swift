package import Numerics

/// How k-means assigns points to centres: `NearestCentre`, or `ConstrainedAssignment` with bounds on the clusters' sizes.
package protocol ClusterAssignment: Sendable {
    /// The centre of each point, and the squared distance to it. It may keep what makes the next round faster.
    mutating func assign(_ points: Matrix, to centres: Matrix) -> (indices: [Int], distances: [Float])
}

/// Assigns each point to its nearest centre, without bounds.
package struct NearestCentre: ClusterAssignment {
    package init() {}

    package func assign(_ points: Matrix, to centres: Matrix) -> (indices: [Int], distances: [Float]) {
        Nearest.rows(of: centres, to: points)
    }
}

/// k-means (Lloyd 1982) from centres chosen by k-means++ (Arthur and Vassilvitskii 2007), or from given clusters.
package struct KMeans: Sendable {
    /// The most rounds; it ends earlier when no point changes its cluster.
    package var iterations = 10
    /// How points are assigned to centres.
    package var assignment: any ClusterAssignment = NearestCentre()

    package init() {}

    /// Constrained k-means.
    package init(sizes: ClosedRange<Int>) { assignment = ConstrainedAssignment(sizes: sizes) }

    /// Centres (count, d) of the points (n, d), and the centre of each point. n may be less than `count`: the remaining
    /// centres are copies of points, moved a little. O(iterations · n · count · d).
    ///
    /// - Precondition: there is a point and a cluster.
    package func cluster(_ points: Matrix, into count: Int, random: inout Random) -> (centres: Matrix, indices: [Int]) {
        cluster(points, pinned: [], into: count, random: &random)
    }

    /// The same, but the first centres are these points and stay where they are.
    ///
    /// - Precondition: there is a point and a cluster, and no more pinned points than clusters.
    package func cluster(
        _ points: Matrix, pinned: [Int], into count: Int, random: inout Random
    ) -> (centres: Matrix, indices: [Int]) {
        precondition(points.rows > 0 && count > 0 && pinned.count <= count, "no points or no clusters")
        return refine(points, from: start(points, pinned, count, &random), pinned: pinned.count)
    }

    /// The same from clusters that the points were in before they moved a little: few rounds are needed, and a cluster
    /// keeps its number. A cluster without points starts with the first point as its centre.
    ///
    /// - Precondition: there is a point, and a cluster of `0..<count` for each.
    package func cluster(
        _ points: Matrix, from clusters: [Int], into count: Int
    ) -> (centres: Matrix, indices: [Int]) {
        precondition(points.rows > 0 && clusters.count == points.rows, "a cluster is needed for each point")
        var centres = Matrix()
        centres.gather([Int](repeating: 0, count: count), of: points)
        move(&centres, points, clusters, [Float](repeating: 0, count: points.rows))
        return refine(points, from: centres)
    }

    /// Rounds of assigning points and moving centres.
    private func refine(_ points: Matrix, from start: Matrix, pinned: Int = 0) -> (centres: Matrix, indices: [Int]) {
        var (centres, assignment) = (start, assignment)
        var result = assignment.assign(points, to: centres)
        for _ in 0..<iterations {
            move(&centres, points, result.indices, result.distances, pinned: pinned)
            let next = assignment.assign(points, to: centres)
            defer { result = next }
            if next.indices == result.indices { break }
        }
        return (centres, result.indices)
    }

    /// k-means++: each further centre is a point drawn by its squared distance to the nearest centre so far.
    private func start(_ points: Matrix, _ pinned: [Int], _ count: Int, _ random: inout Random) -> Matrix {
        var chosen = pinned.isEmpty ? [random.index(below: points.rows)] : pinned
        var distances = [Float](repeating: .infinity, count: points.rows)
        for index in chosen { Nearest.lower(&distances, by: index, of: points) }
        while chosen.count < count {
            let total = distances.reduce(0.0) { $0 + Double($1) }
            guard total > 0 else { break }
            var rest = random.uniform() * total
            var index = distances.lastIndex { $0 > 0 } ?? 0
            for (candidate, distance) in distances.enumerated() {
                rest -= Double(distance)
                if rest < 0 && distance > 0 {
                    index = candidate
                    break
                }
            }
            chosen.append(index)
            Nearest.lower(&distances, by: index, of: points)
        }
        var centres = Matrix()
        let distinct = chosen.count
        while chosen.count < count { chosen.append(chosen[random.index(below: distinct)]) }
        centres.gather(chosen, of: points)
        // No more distinct points: copies, moved by a hundredth of the points' size so that they can separate.
        let size = (points.squaredNorms().reduce(0, +) / Float(points.rows * max(1, points.columns))).squareRoot()
        for row in distinct..<count {
            for column in 0..<centres.columns {
                centres[row, column] += Float(random.normal()) * 0.01 * (size > 0 ? size : 1)
            }
        }
        return centres
    }

    /// Moves each centre to the mean of its points; a centre without points takes the point farthest from its own.
    /// The first `pinned` centres stay.
    private func move(
        _ centres: inout Matrix, _ points: Matrix, _ indices: [Int], _ distances: [Float], pinned: Int = 0
    ) {
        var counts = [Int](repeating: 0, count: centres.rows)
        for index in indices { counts[index] += 1 }
        let empty = counts.indices.filter { $0 >= pinned && counts[$0] == 0 }
        var sums = Matrix(rows: centres.rows, columns: centres.columns)
        sums.scatterAdd(points, to: indices)
        for row in pinned..<centres.rows where counts[row] > 0 {
            for column in 0..<centres.columns { centres[row, column] = sums[row, column] / Float(counts[row]) }
        }
        guard !empty.isEmpty else { return }
        let farthest = distances.indices.filter { distances[$0] > 0 && counts[indices[$0]] > 1 }
            .sorted { (distances[$0], $1) > (distances[$1], $0) }
        for (row, point) in zip(empty, farthest) {
            for column in 0..<centres.columns { centres[row, column] = points[point, column] }
        }
    }
}
