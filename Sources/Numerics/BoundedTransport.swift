/// The cheapest assignment of points to clusters whose sizes are bounded: a transportation problem, solved exactly.
///
/// Bradley, Bennett and Demiriz (2000) make the assignment step of constrained k-means a minimum-cost flow. A point has
/// one unit, so the flow lives on a small graph: the clusters, and one node that stands for "a place within the bounds".
/// Moving the point p from cluster a to b is an arc of cost c(p, b) − c(p, a), and of all points of a only the one for
/// which that is least matters. Starting from a flow that is optimal for some prices, successive shortest paths (Dijkstra
/// over reduced costs) mend one unit each where a cluster has too many or too few. Good prices to start from, such as
/// those of the last round of k-means, leave little to mend.
///
/// All in double; the result is optimal to rounding, and `dualityGap` says by how much it could at most be improved.
package struct BoundedTransport: Sendable {
    /// The cluster of each point.
    package let cluster: [Int32]
    /// How many points each cluster has.
    package let sizes: [Int]
    /// The price of each cluster: each point is in a cluster of least cost + price. Positive only where a cluster is
    /// full, negative only where it has as few as it may.
    package let prices: [Double]
    /// Σ cost of each point in its cluster.
    package let cost: Double
    /// The cost minus the dual value of the prices: no assignment within the bounds is cheaper by more.
    package let dualityGap: Double
    /// Units mended: shortest paths searched.
    package let paths: Int

    /// Solves for the costs (points, count), row by row. O(points · count + paths · count²) at worst, and a path usually
    /// looks at few of the clusters. Memory: twice the costs at most, and 12 count² bytes.
    ///
    /// - Parameter startingPrices: prices to start from; nil for none.
    /// - Precondition: the bounds leave room: `lowest * count <= points <= highest * count`, and every cost is finite.
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
        // A price that is nought but for rounding is nought: it must not force a bound in a later start.
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

/// The working state of one solution; owns its memory.
private final class TransportSolver {
    private let points: Int
    private let count: Int
    /// Columns of `gain`: `count`, padded to whole lanes.
    private let stride: Int
    private let lowest: Int
    private let highest: Int
    private var costs: UnsafePointer<Double>
    /// Whether rows of the costs are whole lanes, so that they may be read eight at a time.
    private let wide: Bool
    let cluster: UnsafeMutablePointer<Int32>
    /// Members of each cluster, and each point's place among them.
    private(set) var members: [[Int32]]
    private let place: UnsafeMutablePointer<Int32>
    /// gain[a, b]: least c(p, b) − c(p, a) over the members p of a, and which p that is.
    private let gain: UnsafeMutablePointer<Double>
    private let mover: UnsafeMutablePointer<Int32>
    /// Places that a cluster's price says it fills, within the bounds.
    private let filled: UnsafeMutablePointer<Int>
    /// What a node has too many; negative: too few. The last node is the common one.
    private let excess: UnsafeMutablePointer<Int>
    /// Prices, with the common node's last.
    let potential: UnsafeMutablePointer<Double>
    private(set) var paths = 0
    // Dijkstra's labels. A node that is done has its distance in `final` and infinity in `distance`, so that the search
    // for the nearest open node is one minimum.
    private let distance: UnsafeMutablePointer<Double>
    private let final: UnsafeMutablePointer<Double>
    private let previous: UnsafeMutablePointer<Int32>
    private var scanned: [Int] = []
    private var renewed: [Int] = []

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
        place = allocate(points, 0)
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
        for memory in [cluster, place, mover, previous] { memory.deallocate() }
        filled.deallocate()
        excess.deallocate()
    }

    /// Solves; the costs are used only during the call.
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

    /// Gives each point to the cluster of least cost + price, and each cluster the fill that its price asks for.
    private func start() {
        for point in 0..<points {
            let row = costs + point * count
            var (best, least) = (0, Double.infinity)
            for column in 0..<count where row[column] + potential[column] < least {
                (best, least) = (column, row[column] + potential[column])
            }
            cluster[point] = Int32(truncatingIfNeeded: best)
            place[point] = Int32(truncatingIfNeeded: members[best].count)
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

    /// Lets a member of a cluster make that cluster's moves cheaper. O(count).
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

    /// Finds the cheapest moves from a cluster anew that a point which has left it made. O(size · count) at worst.
    private func renewGains(of source: Int, without point: Int32) {
        let (gain, mover) = (gain + source * stride, mover + source * stride)
        renewed.removeAll(keepingCapacity: true)
        for column in 0..<count where mover[column] == point {
            gain[column] = .infinity
            mover[column] = -1
            renewed.append(column)
        }
        for member in members[source] {
            let row = costs + Int(member) * count
            let own = row[source]
            renewed.withUnsafeBufferPointer { columns in
                for column in columns where row[column] - own < gain[column] {
                    gain[column] = row[column] - own
                    mover[column] = member
                }
            }
        }
    }

    // MARK: - Shortest paths

    /// The open node of least distance, −1 if none can be reached.
    private func nearest() -> Int {
        var (node, least) = (-1, Double.infinity)
        for other in 0...count where distance[other] < least { (node, least) = (other, distance[other]) }
        return node
    }

    /// Sends one unit along a shortest path: from a node with too many to the nearest with too few, or, backward, to a
    /// node with too few from the nearest with too many. O(count) for each node nearer than that one.
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
            precondition(end >= 0, "the bounds leave room, so a path exists")
        }
        // Nodes nearer than the end change their prices, so that the path's arcs cost nothing.
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

    /// Lowers the label of a node that is not done.
    @inline(__always) private func label(_ other: Int, _ value: Double, from node: Int) {
        if value < distance[other], final[other] == .infinity {
            distance[other] = value
            previous[other] = Int32(truncatingIfNeeded: node)
        }
    }

    /// Labels what one arc leads to from `node`. Reduced costs are not negative but for rounding.
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

    /// Labels what leads to `node` by one arc.
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

    /// Moves a point, and keeps both clusters' cheapest moves.
    private func move(_ point: Int32, from: Int, to: Int) {
        let hole = Int(place[Int(point)])
        let last = members[from].removeLast()
        if last != point {
            members[from][hole] = last
            place[Int(last)] = Int32(truncatingIfNeeded: hole)
        }
        place[Int(point)] = Int32(truncatingIfNeeded: members[to].count)
        members[to].append(point)
        cluster[Int(point)] = Int32(truncatingIfNeeded: to)
        renewGains(of: from, without: point)
        offer(point, from: to)
    }
}
