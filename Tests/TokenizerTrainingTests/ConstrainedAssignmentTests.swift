import TokenizerFixtures
import TokenizerTraining
import Files
import Numerics
import Testing
import Tokenizer

@Suite struct ConstrainedAssignmentTests {
    /// Costs drawn from a few values where `ties`, from very many otherwise.
    private func costs(_ count: Int, ties: Bool, _ random: inout Random) -> [Double] {
        (0..<count).map { _ in ties ? Double(random.index(below: 4)) : random.uniform() }
    }

    @Test("the cost is the optimum of linear programming, and the sizes keep their bounds", arguments: ["a", "b", "c"])
    func golden(name: String) throws {
        let file = try Safetensors(path: Fixtures.path("constrained-assignment.safetensors"))
        let points = try Fixtures.matrix(file, "\(name).points")
        let centres = try Fixtures.matrix(file, "\(name).centres")
        let bounds = try file.integers("\(name).size_bounds")
        let optimum = Double(try file.floats("\(name).optimal_cost")[0])
        var assignment = ConstrainedAssignment(sizes: bounds[0]...bounds[1])
        let result = assignment.assign(points, to: centres)
        #expect(abs(assignment.cost - optimum) <= 1e-6 * optimum)
        var exact = 0.0
        for (point, cluster) in result.indices.enumerated() {
            for (x, y) in zip(points.row(point), centres.row(cluster)) {
                exact += (Double(x) - Double(y)) * (Double(x) - Double(y))
            }
        }
        #expect(abs(exact - optimum) <= 1e-6 * optimum)
        let sizes = result.indices.reduce(into: [Int](repeating: 0, count: centres.rows)) { $0[$1] += 1 }
        #expect(sizes.allSatisfy { (bounds[0]...bounds[1]).contains($0) }, "\(sizes)")
        // The bounds matter here: without them it would be cheaper.
        let free = Nearest.rows(of: centres, to: points).distances.reduce(0.0) { $0 + Double($1) }
        #expect(free < optimum * (1 - 1e-6))
        // Starting from the prices of the same problem leads to the same cost.
        _ = assignment.assign(points, to: centres)
        #expect(abs(assignment.cost - optimum) <= 1e-6 * optimum)
    }

    @Test("no assignment within the bounds is cheaper, of all that there are") func exhaustive() {
        var random = Random(seed: 8)
        for round in 0..<60 {
            let (points, count) = (1 + random.index(below: 7), 1 + random.index(below: 3))
            let lowest = random.index(below: points / count + 1)
            let highest = (points + count - 1) / count + random.index(below: 3)
            let costs = costs(points * count, ties: round % 2 == 0, &random)
            var least = Double.infinity
            var total = 1
            for _ in 0..<points { total *= count }
            for number in 0..<total {
                var (rest, sum, sizes) = (number, 0.0, [Int](repeating: 0, count: count))
                for point in 0..<points {
                    sum += costs[point * count + rest % count]
                    sizes[rest % count] += 1
                    rest /= count
                }
                if sizes.allSatisfy({ $0 >= lowest && $0 <= highest }) { least = min(least, sum) }
            }
            let solution = BoundedTransport(costs: costs, points: points, count: count, sizes: lowest...highest)
            #expect(abs(solution.cost - least) < 1e-12, "round \(round)")
            #expect(solution.sizes.allSatisfy { (lowest...highest).contains($0) })
        }
    }

    @Test("prices prove the optimum, with ties, tight bounds and wrong prices to start from") func certificates() {
        var random = Random(seed: 9)
        for round in 0..<120 {
            let (points, count) = (20 + random.index(below: 300), 2 + random.index(below: 30))
            let mean = points / count
            let (lowest, highest) = [
                (0, points), (mean, (points + count - 1) / count), (mean / 2, 2 * mean + 1), (0, mean + 1),
                (mean, points),
            ][round % 5]
            let costs = costs(points * count, ties: round % 3 == 0, &random)
            let start: [Double]? = round % 2 == 0 ? nil : (0..<count).map { _ in random.normal() }
            let solution = BoundedTransport(
                costs: costs, points: points, count: count, sizes: lowest...highest, startingPrices: start)
            #expect(solution.sizes.allSatisfy { (lowest...highest).contains($0) }, "round \(round)")
            #expect(solution.sizes.reduce(0, +) == points)
            #expect(abs(solution.dualityGap) < 1e-9 * Double(points), "round \(round)")
        }
    }

    @Test("many points in few clusters start from the prices of a sample") func sampled() {
        var random = Random(seed: 10)
        var points = random.normalMatrix(rows: 40_000, columns: 4, deviation: 1)
        for row in 0..<20_000 { points[row, 0] += 4 }
        let centres = random.normalMatrix(rows: 10, columns: 4, deviation: 1)
        let sizes = ConstrainedAssignment.clusterSizes(codes: 40_000, count: 10)
        var assignment = ConstrainedAssignment(sizes: sizes)
        let counts = assignment.assign(points, to: centres).indices.reduce(into: [Int](repeating: 0, count: 10)) {
            $0[$1] += 1
        }
        #expect(counts.allSatisfy { sizes.contains($0) }, "\(counts)")
        let cost = assignment.cost
        _ = assignment.assign(points, to: centres)
        #expect(abs(assignment.cost - cost) < 1e-9 * cost)
    }

    @Test("bounds are the published ones, and can hold any number of items") func bounds() {
        #expect(ConstrainedAssignment.codebookSizes(points: 4344, count: 256) == 8...32)
        #expect(ConstrainedAssignment.codebookSizes(points: 12101, count: 256) == 23...92)
        #expect(ConstrainedAssignment.codebookSizes(points: 25_600, count: 256) == 50...200)
        #expect(ConstrainedAssignment.clusterSizes(codes: 256, count: 10) == 10...60)
        for count in [1, 2, 7, 256, 1000] {
            for points in Array(1...40) + [511, 512, 513, 100 * count, 200 * count, 201 * count, 1_000_000] {
                let sizes = ConstrainedAssignment.codebookSizes(points: points, count: count)
                #expect(sizes.lowerBound * count <= points && points <= sizes.upperBound * count, "\(points) \(count)")
            }
            for clusters in 1...min(count, 40) {
                let sizes = ConstrainedAssignment.clusterSizes(codes: count, count: clusters)
                #expect(sizes.lowerBound * clusters <= count && count <= sizes.upperBound * clusters)
            }
        }
    }

    @Test("constrained k-means keeps the bounds, also from clusters that are there, which keep their numbers")
    func kMeans() {
        var random = Random(seed: 11)
        var points = random.normalMatrix(rows: 256, columns: 8, deviation: 1)
        for row in 0..<200 { points[row, 0] += 6 }
        func counts(_ indices: [Int]) -> [Int] { indices.reduce(into: [Int](repeating: 0, count: 10)) { $0[$1] += 1 } }
        let first = KMeans(sizes: 10...60).cluster(points, into: 10, random: &random)
        #expect(counts(first.indices).allSatisfy { (10...60).contains($0) }, "\(counts(first.indices))")
        points.add(random.normalMatrix(rows: 256, columns: 8, deviation: 0.01))
        let next = KMeans(sizes: 10...60).cluster(points, from: first.indices, into: 10)
        #expect(counts(next.indices).allSatisfy { (10...60).contains($0) })
        let kept = zip(first.indices, next.indices).filter { $0 == $1 }.count
        #expect(kept > 220, "\(kept) of 256 stay")
        // The bounds are what does it.
        let free = KMeans().cluster(points, into: 10, random: &random)
        #expect(!counts(free.indices).allSatisfy { (20...30).contains($0) })
    }
}
