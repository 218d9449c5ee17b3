/// The cheapest assignment of points to clusters of bounded size: a transportation problem, solved exactly.
///
/// min Σₚ c(p, cluster of p), so that lowest ≤ size of each cluster ≤ highest.
///
/// Bradley, Bennett and Demiriz (2000) write the assignment step of constrained k-means as a minimum-cost flow. Each point
/// is one unit of flow, so a small graph is enough: a node for each cluster, and a common node for the free capacity within
/// the bounds. Moving point p from cluster a to b is an arc of cost c(p, b) − c(p, a); of all points of a, only the one with
/// the least cost matters. The solver starts from a flow that is optimal for some prices but violates the bounds, and each
/// shortest path (Dijkstra over reduced costs) moves one unit from a cluster with too many points, or to one with too few.
/// With good starting prices, such as those of the last round of k-means, few paths are needed.
///
/// All numbers are double. The result is optimal up to rounding, and `dualityGap` is an upper bound on what is left to gain.
package struct BoundedTransport: Sendable {
    /// The cluster of each point.
    package let cluster: [Int32]
    /// The number of points in each cluster.
    package let sizes: [Int]
    /// The price of each cluster, the dual variable of its bounds: every point is in a cluster with the least cost + price.
    /// A price is positive only if its cluster is as large as allowed, and negative only if it is as small as allowed.
    package let prices: [Double]
    /// Σₚ c(p, cluster of p).
    package let cost: Double
    /// The cost minus the dual value of the prices: no assignment within the bounds is cheaper by more than this.
    package let dualityGap: Double
    /// The number of shortest paths, each of which moved one unit.
    package let paths: Int

    /// Solves for the costs (points, count), row by row. O(points · count + paths · count²) in the worst case; most paths
    /// visit few clusters. Memory: at most twice the costs, and 12 count² bytes.
    ///
    /// - Parameters:
    ///   - bounds: the least and the greatest size of a cluster.
    ///   - startingPrices: the prices to start from; nil for zeros.
    /// - Precondition: an assignment exists, `lowest * count <= points <= highest * count`, and every cost is finite.
    package init(
        costs: [Double], points: Int, count: Int, sizes bounds: ClosedRange<Int>, startingPrices: [Double]? = nil
    ) {
        precondition(costs.count == points * count && count > 0, "the costs do not fill the matrix")
        precondition(
            bounds.lowerBound >= 0 && bounds.lowerBound * count <= points && points <= bounds.upperBound * count,
            "\(points) points do not fit into \(count) clusters of \(bounds)")
        precondition((startingPrices?.count ?? count) == count, "a price is needed for each cluster")
        let solver = TransportSolver(points: points, count: count, bounds: bounds, prices: startingPrices)
        costs.withUnsafeBufferPointer { solver.solve($0) }
        let common = solver.potential[count]
        let size = costs.reduce(0) { max($0, abs($1)) }
        // A price that is zero up to rounding becomes zero. Otherwise it would force a cluster to a bound in a later start.
        let prices = (0..<count).map { index in
            let price = solver.potential[index] - common
            return abs(price) <= 1e-13 * size ? 0 : price
        }
        var (cost, dual) = (0.0, 0.0)
        for point in 0..<points {
            cost += costs[point * count + Int(solver.cluster[point])]
            var least = Double.infinity
            for column in 0..<count { least = min(least, costs[point * count + column] + prices[column]) }
            dual += least
        }
        for price in prices { dual -= price * Double(price > 0 ? bounds.upperBound : bounds.lowerBound) }
        (self.cost, dualityGap, self.prices, paths) = (cost, cost - dual, prices, solver.paths)
        cluster = (0..<points).map { solver.cluster[$0] }
        sizes = solver.members.map(\.count)
    }
}

/// The working state of one solution. It owns its memory.
private final class TransportSolver {
    private let points: Int
    private let count: Int
    /// The distance between rows of `gain`: `count`, rounded up to a multiple of eight.
    private let stride: Int
    private let lowest: Int
    private let highest: Int
    private var costs: UnsafePointer<Double>
    /// Whether `count` is a multiple of eight, so that rows of the costs may be read eight elements at a time.
    private let wide: Bool
    let cluster: UnsafeMutablePointer<Int32>
    /// The points of each cluster.
    private(set) var members: [[Int32]]
    /// The position of each point in `members`.
    private let position: UnsafeMutablePointer<Int32>
    /// gain[a, b]: the least c(p, b) − c(p, a) over the points p of a.
    private let gain: UnsafeMutablePointer<Double>
    /// mover[a, b]: the point p with that cost.
    private let mover: UnsafeMutablePointer<Int32>
    /// The size that a cluster's price asks for, within the bounds.
    private let filled: UnsafeMutablePointer<Int>
    /// Units that a node has too many; negative if it has too few. The last node is the common one.
    private let excess: UnsafeMutablePointer<Int>
    /// The prices, that of the common node last.
    let potential: UnsafeMutablePointer<Double>
    private(set) var paths = 0
    // Dijkstra's labels. A finished node has its distance in `final` and infinity in `distance`, so that the search for the
    // nearest open node is a plain minimum.
    private let distance: UnsafeMutablePointer<Double>
    private let final: UnsafeMutablePointer<Double>
    private let previous: UnsafeMutablePointer<Int32>
    private var scanned: [Int] = []
    private var stale: [Int] = []

    init(points: Int, count: Int, bounds: ClosedRange<Int>, prices: [Double]?) {
        (self.points, self.count) = (points, count)
        (lowest, highest) = (bounds.lowerBound, bounds.upperBound)
        stride = (count + 7) / 8 * 8
        wide = count % 8 == 0
        members = [[Int32]](repeating: [], count: count)
        func allocate<T>(_ size: Int, _ value: T) -> UnsafeMutablePointer<T> {
            let memory = UnsafeMutablePointer<T>.allocate(capacity: size)
            memory.initialize(repeating: value, count: size)
            return memory
        }
        potential = allocate(count + 1, 0)
        costs = UnsafePointer(potential)
        cluster = allocate(points, 0)
        position = allocate(points, 0)
        gain = allocate(count * stride, .infinity)
        mover = allocate(count * stride, -1)
        filled = allocate(count, 0)
        excess = allocate(count + 1, 0)
        distance = allocate(count + 1, .infinity)
        final = allocate(count + 1, .infinity)
        previous = allocate(count + 1, -1)
        for (index, price) in (prices ?? []).enumerated() { potential[index] = price }
    }

    deinit {
        for memory in [gain, potential, distance, final] { memory.deallocate() }
        for memory in [cluster, position, mover, previous] { memory.deallocate() }
        filled.deallocate()
        excess.deallocate()
    }

    /// Solves; the costs are not kept after the call.
    func solve(_ source: UnsafeBufferPointer<Double>) {
        guard let base = source.baseAddress else { return }
        costs = base
        defer { costs = UnsafePointer(potential) }
        start()
        for node in 0..<count {
            while excess[node] > 0 { augment(from: node, forward: true) }
            while excess[node] < 0 { augment(from: node, forward: false) }
        }
    }

    // MARK: - Start

    /// Assigns each point to the cluster with the least cost + price, and sets the size that each price asks for.
    private func start() {
        for point in 0..<points {
            let row = costs + point * count
            var (best, least) = (0, Double.infinity)
            for column in 0..<count where row[column] + potential[column] < least {
                (best, least) = (column, row[column] + potential[column])
            }
            cluster[point] = Int32(truncatingIfNeeded: best)
            position[point] = Int32(truncatingIfNeeded: members[best].count)
            members[best].append(Int32(truncatingIfNeeded: point))
        }
        for column in 0..<count {
            let (size, price) = (members[column].count, potential[column])
            filled[column] = price > 0 ? highest : price < 0 ? lowest : min(max(size, lowest), highest)
            excess[column] = size - filled[column]
            excess[count] += filled[column]
            for point in members[column] { offer(point, from: column) }
        }
        excess[count] -= points
    }

    /// Takes a point of cluster `source` into account in that cluster's cheapest moves. O(count).
    private func offer(_ point: Int32, from source: Int) {
        let row = costs + Int(point) * count
        let own = row[source]
        let (gain, mover) = (gain + source * stride, mover + source * stride)
        guard wide else {
            for column in 0..<count where row[column] - own < gain[column] {
                gain[column] = row[column] - own
                mover[column] = point
            }
            return
        }
        var column = 0
        while column < count {
            let value = UnsafeRawPointer(row + column).loadUnaligned(as: SIMD8<Double>.self) - own
            let target = UnsafeMutableRawPointer(gain + column)
            let best = UnsafeRawPointer(target).loadUnaligned(as: SIMD8<Double>.self)
            let cheaper = value .< best
            if any(cheaper) {
                target.storeBytes(of: best.replacing(with: value, where: cheaper), as: SIMD8<Double>.self)
                for lane in 0..<8 where cheaper[lane] { mover[column + lane] = point }
            }
            column += 8
        }
    }

    /// Recomputes the cheapest moves from a cluster that used a point which has left it. O(size · count) in the worst case.
    private func recomputeGains(of source: Int, without point: Int32) {
        let (gain, mover) = (gain + source * stride, mover + source * stride)
        stale.removeAll(keepingCapacity: true)
        for column in 0..<count where mover[column] == point {
            gain[column] = .infinity
            mover[column] = -1
            stale.append(column)
        }
        for member in members[source] {
            let row = costs + Int(member) * count
            let own = row[source]
            stale.withUnsafeBufferPointer { columns in
                for column in columns where row[column] - own < gain[column] {
                    gain[column] = row[column] - own
                    mover[column] = member
                }
            }
        }
    }

    // MARK: - Shortest paths

    /// The open node with the least distance; −1 if none can be reached.
    private func nearest() -> Int {
        var (node, least) = (-1, Double.infinity)
        for other in 0...count where distance[other] < least { (node, least) = (other, distance[other]) }
        return node
    }

    /// Sends one unit along a shortest path: from `root`, which has too many, to the nearest node with too few; or, if not
    /// `forward`, to `root`, which has too few, from the nearest node with too many. O(count) for each node that is nearer.
    private func augment(from root: Int, forward: Bool) {
        for node in 0...count {
            distance[node] = .infinity
            final[node] = .infinity
        }
        scanned.removeAll(keepingCapacity: true)
        distance[root] = 0
        var end = nearest()
        while forward ? excess[end] >= 0 : excess[end] <= 0 {
            final[end] = distance[end]
            distance[end] = .infinity
            scanned.append(end)
            if forward { relaxForward(end) } else { relaxBackward(end) }
            end = nearest()
            precondition(end >= 0, "an assignment within the bounds exists, so a path does")
        }
        // The prices of the nodes that are nearer than the end change, so that the arcs of the path have reduced cost 0.
        let length = distance[end]
        for node in scanned { potential[node] += forward ? length - final[node] : final[node] - length }
        var node = end
        while node != root {
            let other = Int(previous[node])
            if forward { send(from: other, to: node) } else { send(from: node, to: other) }
            node = other
        }
        excess[root] += forward ? -1 : 1
        excess[end] += forward ? 1 : -1
        paths += 1
    }

    /// Lowers the label of a node that is not finished.
    @inline(__always) private func label(_ other: Int, _ value: Double, from node: Int) {
        if value < distance[other], final[other] == .infinity {
            distance[other] = value
            previous[other] = Int32(truncatingIfNeeded: node)
        }
    }

    /// Labels the nodes that an arc leads to from `node`. Reduced costs are negative by rounding alone, hence the max.
    private func relaxForward(_ node: Int) {
        let (base, own) = (final[node], potential[node])
        if node == count {
            for other in 0..<count where filled[other] > lowest {
                label(other, base + max(0, potential[other] - own), from: node)
            }
        } else {
            let row = gain + node * stride
            for other in 0..<count { label(other, base + max(0, row[other] + potential[other] - own), from: node) }
            if filled[node] < highest { label(count, base + max(0, potential[count] - own), from: node) }
        }
    }

    /// Labels the nodes from which an arc leads to `node`.
    private func relaxBackward(_ node: Int) {
        let (base, own) = (final[node], potential[node])
        if node == count {
            for other in 0..<count where filled[other] < highest {
                label(other, base + max(0, own - potential[other]), from: node)
            }
        } else {
            let column = gain + node
            for other in 0..<count {
                label(other, base + max(0, column[other * stride] + own - potential[other]), from: node)
            }
            if filled[node] > lowest { label(count, base + max(0, own - potential[count]), from: node) }
        }
    }

    /// Sends a unit along one arc.
    private func send(from: Int, to: Int) {
        if to == count {
            filled[from] += 1
        } else if from == count {
            filled[to] -= 1
        } else {
            move(mover[from * stride + to], from: from, to: to)
        }
    }

    /// Moves a point, and updates the cheapest moves of both clusters.
    private func move(_ point: Int32, from: Int, to: Int) {
        let gap = Int(position[Int(point)])
        let last = members[from].removeLast()
        if last != point {
            members[from][gap] = last
            position[Int(last)] = Int32(truncatingIfNeeded: gap)
        }
        position[Int(point)] = Int32(truncatingIfNeeded: members[to].count)
        members[to].append(point)
        cluster[Int(point)] = Int32(truncatingIfNeeded: to)
        recomputeGains(of: from, without: point)
        offer(point, from: to)
    }
}
