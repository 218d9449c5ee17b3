import TokenizerFixtures
import TokenizerEvaluation
import Files
import Foundation
import Numerics
import Testing
import Tokenizer
import Core

/// The search for neighbours, the principal components, and a real catalog against figures found by NumPy.
@Suite struct EvaluationSearchTests {
    @Test("neighbours are those of a plain search, across blocks", arguments: Similarity.allCases)
    func neighbours(similarity: Similarity) throws {
        var random = Random(seed: 7)
        let (rows, width) = (2100, 5)
        let matrix = random.normalMatrix(rows: rows, columns: width, deviation: 1)
        let queries = (0..<rows).filter { $0 % 60 == 0 || $0 > 2040 }
        let found = NeighbourSearch(matrix, similarity: similarity).nearest(of: queries)
        func value(_ a: Int, _ b: Int) -> Double {
            func dot(_ x: Int, _ y: Int) -> Double {
                zip(matrix.row(x), matrix.row(y)).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            }
            return similarity == .cosine ? dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot() : dot(a, b)
        }
        #expect(found.count == queries.count)
        for (query, neighbour) in zip(queries, found) {
            let neighbour = try #require(neighbour)
            #expect(neighbour != query)
            let best = (0..<rows).filter { $0 != query }.map { value(query, $0) }.max() ?? 0
            #expect(abs(value(query, neighbour) - best) <= 1e-5 * max(1, abs(best)), "row \(query)")
        }
    }

    @Test("the lowest of equal rows is the neighbour, and a single row has none") func equals() {
        let same = Matrix(rows: 1500, columns: 3, [Float](repeating: 1, count: 4500))
        #expect(NeighbourSearch(same, similarity: .innerProduct).nearest(of: [0, 1, 1499]) == [1, 0, 0])
        #expect(NeighbourSearch(same, similarity: .innerProduct).nearest(of: []) == [])
        let lone = Matrix(rows: 1, columns: 3, [1, 2, 3])
        #expect(NeighbourSearch(lone, similarity: .cosine).nearest(of: [0]) == [nil])
    }

    @Test("principal components of an ellipse are its axes") func components() {
        // Points at (±3, ±3) and (±1, ∓1): the axes are the diagonals, with variances 36 and 4.
        let map = CodeMap(Matrix(rows: 4, columns: 2, [3, 3, -3, -3, 1, -1, -1, 1]))
        #expect(abs(map.explained.first - 0.9) < 1e-12 && abs(map.explained.second - 0.1) < 1e-12)
        let expected = [(18.0.squareRoot(), 0.0), (-18.0.squareRoot(), 0.0)]
        for (point, (x, y)) in zip(map.points, expected) {
            #expect(abs(point.x - x) < 1e-9 && abs(point.y - y) < 1e-9)
        }
        #expect(abs(abs(map.points[2].y) - 2.0.squareRoot()) < 1e-9)
        #expect(CodeMap(Matrix(rows: 3, columns: 2)).explained.first == 0)
        #expect(CodeMap(Matrix(rows: 2, columns: 1, [1, 3])).points.map(\.x) == [-1, 1])
    }

    @Test("Scientific with the frozen tokenizer has NumPy's figures", .enabled(if: Fixtures.scientific != nil))
    func scientific() throws {
        func near(_ value: Double, _ expected: Double, _ tolerance: Double = 1e-4) -> Bool {
            abs(value - expected) <= tolerance * abs(expected)
        }
        let path = try #require(Fixtures.scientific)
        func matrix(_ path: String) throws -> Matrix {
            let file = try NumPyFile(path)
            return Matrix(rows: file.rows, columns: file.columns, try file.floats())
        }
        var input = EvaluationInput(semantic: try matrix(path))
        input.collaborative = try matrix(path.replacing("semantic.f32.npy", with: "cf.f32.npy"))
        let items = try FileSystem.read(path.replacing("semantic.f32.npy", with: "items.jsonl"), limit: 1 << 26)
        input.categories = try items.split(separator: UInt8(ascii: "\n")).map { line in
            let object = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
            return (object?["categories"] as? String ?? "").split(separator: ",").map {
                $0.trimmingCharacters(in: .whitespaces)
            }.filter { !$0.isEmpty }
        }
        let evaluation = try Evaluator(model: Fixtures.frozen()).evaluate(input).evaluation
        let collisions = evaluation.collisions
        #expect(collisions.distinct == 4261 && collisions.sharedItems == 145 && collisions.sharedBuckets == 62)
        #expect(collisions.largestBucket == 9 && collisions.p99Bucket == 2 && collisions.separableItems == 121)
        #expect(near(collisions.rate, 0.019106814, 1e-6))
        let duplicates = collisions.duplicates
        #expect(duplicates.groups == 12 && duplicates.items == 24 && duplicates.largest == 2)
        #expect(duplicates.distinctEmbeddings == 4332)
        #expect(
            collisions.bucketSizes.map { [$0.size, $0.buckets] } == [[2, 50], [3, 8], [4, 3], [9, 1]])
        #expect(evaluation.usage.map(\.used) == [34, 182, 256, 256])
        let perplexities = [13.596586, 135.023795, 232.827466, 239.078081]
        let ginis = [0.959541897, 0.587360080, 0.241838599, 0.205966563]
        for level in 0..<4 {
            #expect(near(evaluation.usage[level].perplexity, perplexities[level], 1e-6))
            #expect(near(evaluation.usage[level].gini, ginis[level], 1e-6))
        }
        #expect(evaluation.firstLevelGroups.prefix(4).map(\.items) == [4200, 140, 4, 0])
        #expect(evaluation.firstLevelGroups.count == 18)
        #expect(near(evaluation.errors.latentSquaredNorm, 11.130077))
        for (value, expected) in zip(
            evaluation.errors.residualSquaredNorms, [1.520918360, 0.399185537, 0.181500027, 0.107280046])
        {
            #expect(near(value, expected))
        }
        #expect(near(evaluation.errors.medianQuantisationError, 0.0934347845, 1e-3))
        #expect(near(evaluation.errors.p99QuantisationError, 0.3353165417, 1e-3))
        // Of neighbours that are equally near, rounding decides, so a few of 17,376 codes may differ.
        let collaborative = try #require(evaluation.collaborativeNeighbours)
        #expect(near(collaborative.share, 0.2007366, 1e-3) && near(collaborative.shareByLevel[0], 0.5637661, 1e-3))
        #expect(near(collaborative.shareByChance, 0.0271133636, 1e-6))
        #expect(near(evaluation.semanticNeighbours.share, 0.1652854512, 1e-3))
        let purity = try #require(evaluation.purity).depths
        #expect(purity.map(\.items) == [4213, 4213, 4128, 3689, 1809, 440])
        #expect(purity.map(\.categories) == [1, 25, 156, 388, 259, 75])
        #expect(purity[1].prefixes.map(\.prefixes) == [34, 1108, 3746, 4130])
        for (prefix, expected) in zip(purity[1].prefixes, [0.310704961, 0.570140043, 0.970567292, 0.999050558]) {
            #expect(near(prefix.purity, expected, 1e-6) && prefix.shuffled < prefix.purity)
        }
        let map = CodeMap(try Fixtures.frozen().codebooks[0])
        #expect(near(map.explained.first, 0.3853780166) && near(map.explained.second, 0.3156933364))
        #expect(near(map.points[0].x, 0.1384906321, 1e-3) && near(map.points[100].y, -0.0660646622, 1e-3))
    }
}
