import Tokenizer
import Numerics

/// Clusters of one level's codes, for drawing positives of the diversity term (5).
struct CodeClusters {
    private let cluster: [Int]
    private let members: [[Int]]
    /// Place of each code among its cluster's members.
    private let place: [Int]

    /// - Parameter cluster: the cluster of each code.
    init(_ cluster: [Int]) {
        var members = [[Int]](repeating: [], count: (cluster.max() ?? -1) + 1)
        var place: [Int] = []
        for (code, number) in cluster.enumerated() {
            place.append(members[number].count)
            members[number].append(code)
        }
        self.cluster = cluster
        self.members = members
        self.place = place
    }

    /// One of the other codes of a code's cluster, each as likely as the next; −1 if there is none.
    func positive(of code: Int, random: inout Random) -> Int {
        let mates = members[cluster[code]]
        guard mates.count > 1 else { return -1 }
        let draw = random.index(below: mates.count - 1)
        return mates[draw < place[code] ? draw : draw + 1]
    }
}
