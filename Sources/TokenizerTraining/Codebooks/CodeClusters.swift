import Numerics

/// Clusters of one level's codes, for drawing positives of the diversity term (5).
struct CodeClusters {
    private let cluster: [Int]
    /// The codes, cluster by cluster, each cluster's in ascending order.
    private let members: [Int]
    /// Where each cluster begins in `members`, and the end of the last one.
    private let starts: [Int]
    /// Position of each code in `members`.
    private let positions: [Int]

    /// - Parameter cluster: the cluster of each code.
    init(_ cluster: [Int]) {
        var starts = [Int](repeating: 0, count: (cluster.max() ?? -1) + 2)
        for number in cluster { starts[number + 1] += 1 }
        for number in starts.indices.dropFirst() { starts[number] += starts[number - 1] }
        var (next, members, positions) = (starts, cluster, cluster)
        for (code, number) in cluster.enumerated() {
            members[next[number]] = code
            positions[code] = next[number]
            next[number] += 1
        }
        self.cluster = cluster
        self.members = members
        self.starts = starts
        self.positions = positions
    }

    /// One of the other codes of a code's cluster, drawn uniformly; −1 if there is none. O(1).
    func positive(of code: Int, random: inout Random) -> Int {
        let start = starts[cluster[code]]
        let others = starts[cluster[code] + 1] - start - 1
        guard others > 0 else { return -1 }
        let draw = start + random.index(below: others)
        return members[draw < positions[code] ? draw : draw + 1]
    }
}
