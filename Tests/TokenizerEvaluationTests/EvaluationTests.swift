import TokenizerEvaluation
import Files
import Foundation
import Numerics
import Testing
import Tokenizer
import Core

/// Figures of a catalog of eight items, all computed by hand.
@Suite struct EvaluationTests {
    /// Two levels of four codes in the plane; encoder and decoder are the identity.
    private func planeModel(decoder: Bool = true) throws -> TokenizerModel {
        let identity = Layer(weight: Matrix(rows: 2, columns: 2, [1, 0, 0, 1]), bias: Matrix(rows: 1, columns: 2))
        return try TokenizerModel(
            encoder: [identity], decoder: decoder ? [identity] : [],
            codebooks: [
                Matrix(rows: 4, columns: 2, [0, 0, 10, 0, 0, 10, 10, 10]),
                Matrix(rows: 4, columns: 2, [0, 0, 1, 0, 0, 1, 1, 1]),
            ])
    }

    /// Identifiers 0-0, 0-0, 0-0, 0-1, 1-0, 1-2, 1-2, 2-0; the first two items are equal.
    private var input: EvaluationInput {
        var input = EvaluationInput(
            semantic: Matrix(rows: 8, columns: 2, [0, 0, 0, 0, 0.1, 0, 1, 0, 10, 0, 10, 1, 10, 1.1, 0, 10]))
        input.collaborative = Matrix(
            rows: 8, columns: 2, [1, 0, 1, 0.1, 0, 1, 0, 2, -1, 0, -1, 0.1, 3, 3, 0, 0])
        input.collaborativeMask = [true, true, true, true, true, true, true, false]
        input.unseen = [2, 3]
        input.categories = [["A", "x"], ["A", "x"], ["A", "y"], ["B"], ["B", "z"], ["B", "z"], ["A", "x"], []]
        return input
    }

    private func near(_ value: Double, _ expected: Double, _ tolerance: Double = 1e-6) -> Bool {
        abs(value - expected) <= tolerance * max(1, abs(expected))
    }

    @Test("collisions are counted by both formulas, and duplicates separately") func collisions() throws {
        let found = try Evaluator(model: planeModel()).evaluate(input).evaluation.collisions
        #expect(found.distinct == 5)
        #expect(near(found.rate, 3.0 / 8))
        #expect(found.sharedItems == 5 && found.sharedBuckets == 2)
        #expect(near(found.sharedRate, 5.0 / 8))
        #expect(found.largestBucket == 3 && found.p99Bucket == 3)
        #expect(found.bucketSizes.map { [$0.size, $0.buckets] } == [[2, 1], [3, 1]])
        let duplicates = found.duplicates
        #expect(duplicates.groups == 1 && duplicates.items == 2 && duplicates.largest == 2)
        #expect(duplicates.distinctEmbeddings == 7)
        #expect(near(found.rateWithoutDuplicates, 2.0 / 7))
        #expect(found.separableItems == 5)
    }

    @Test("without equal embeddings and collisions the counts are zero") func noCollisions() throws {
        let distinct = EvaluationInput(semantic: Matrix(rows: 3, columns: 2, [0, 0, 10, 0, 10, 1]))
        let result = try Evaluator(model: planeModel()).evaluate(distinct)
        let found = result.evaluation.collisions
        #expect(found.rate == 0 && found.sharedItems == 0 && found.sharedBuckets == 0 && found.bucketSizes.isEmpty)
        #expect(found.largestBucket == 1 && found.separableItems == 0 && found.duplicates.groups == 0)
        #expect(result.evaluation.collaborativeNeighbours == nil && result.evaluation.purity == nil)
        #expect(result.evaluation.unseenErrors == nil)
    }

    @Test("equal embeddings do not count as separable") func duplicatesAlone() throws {
        let same = EvaluationInput(semantic: Matrix(rows: 3, columns: 2, [10, 0, 0, 0, 10, 0]))
        let found = try Evaluator(model: planeModel()).evaluate(same).evaluation.collisions
        #expect(found.sharedItems == 2 && found.separableItems == 0 && found.rateWithoutDuplicates == 0)
    }

    @Test("use of codes: entropy, perplexity and Gini over all codes, dead ones included") func usage() throws {
        let result = try Evaluator(model: planeModel()).evaluate(input)
        let first = result.evaluation.usage[0]
        #expect(result.codeCounts == [[4, 3, 1, 0], [5, 1, 2, 0]])
        #expect(first.used == 3 && first.dead == 1)
        #expect(near(first.entropy, 0.5 + 0.375 * log2(8.0 / 3) + 0.375))
        #expect(near(first.perplexity, pow(2, 0.875 + 0.375 * log2(8.0 / 3))))
        #expect(near(first.gini, 0.4375))
        #expect(near(first.largestShare, 0.5))
        #expect(result.evaluation.firstLevelGroups.map { [$0.codes, $0.items] } == [[4, 8]])
    }

    @Test("errors are reported for each level, for all items and for the unseen ones") func errors() throws {
        let evaluation = try Evaluator(model: planeModel()).evaluate(input).evaluation
        let all = evaluation.errors
        #expect(all.items == 8)
        #expect(near(all.latentSquaredNorm, 403.22 / 8))
        #expect(near(all.residualSquaredNorms[0], 2.22 / 8 + 1.0 / 8))
        #expect(near(all.quantisationError, 0.02 / 8))
        #expect(near(all.relativeQuantisationError, 0.02 / 403.22))
        #expect(near(all.medianQuantisationError, 0) && near(all.greatestQuantisationError, 0.01))
        let reconstruction = try #require(all.reconstruction)
        #expect(near(reconstruction.meanSquaredError, 0.02 / 16))
        #expect(near(reconstruction.relativeError, 0.02 / 403.22))
        let unseen = try #require(evaluation.unseenErrors)
        #expect(near(unseen.quantisationError, 0.005) && unseen.items == 2)
        let encodeOnly = try Evaluator(model: planeModel(decoder: false)).evaluate(input).evaluation
        #expect(encodeOnly.errors.reconstruction == nil)
    }

    @Test("codes shared with the nearest neighbour, by cosine and by inner product") func neighbours() throws {
        var input = input
        let cosine = try #require(Evaluator(model: planeModel()).evaluate(input).evaluation.collaborativeNeighbours)
        #expect(cosine.items == 7 && cosine.queries == 7)
        #expect(near(cosine.share, 8.0 / 14))
        #expect(near(cosine.shareByLevel[0], 6.0 / 7) && near(cosine.shareByLevel[1], 2.0 / 7))
        #expect(near(cosine.shareByChance, 16.0 / 42))
        input.similarity = .innerProduct
        let product = try #require(Evaluator(model: planeModel()).evaluate(input).evaluation.collaborativeNeighbours)
        #expect(near(product.share, 2.0 / 14))
        #expect(near(product.shareByLevel[0], 2.0 / 7) && product.shareByLevel[1] == 0)
        #expect(product.similarity == .innerProduct)
    }

    @Test("the purity of prefixes is as counted, and lower for shuffled categories") func purity() throws {
        let purity = try #require(Evaluator(model: planeModel()).evaluate(input).evaluation.purity)
        #expect(purity.depths.count == 2)
        let (one, two) = (purity.depths[0], purity.depths[1])
        #expect(one.items == 7 && one.categories == 2 && near(one.largestShare, 4.0 / 7))
        #expect(one.prefixes.map(\.prefixes) == [2, 4])
        #expect(near(one.prefixes[0].purity, 5.0 / 7) && near(one.prefixes[1].purity, 6.0 / 7))
        #expect(two.items == 6 && two.categories == 3 && near(two.largestShare, 0.5))
        #expect(near(two.prefixes[0].purity, 4.0 / 6) && near(two.prefixes[1].purity, 4.0 / 6))
        // A hundred items whose first code is their category: pure, and half pure when shuffled.
        let many = (0..<100).map { Float($0 % 2 * 10) }
        var clear = EvaluationInput(semantic: Matrix(rows: 100, columns: 2, many.flatMap { [$0, 0] }))
        clear.categories = many.map { ["\($0)"] }
        let found = try #require(Evaluator(model: planeModel()).evaluate(clear).evaluation.purity).depths[0].prefixes[0]
        #expect(found.purity == 1 && (0.5...0.65).contains(found.shuffled))
    }

    @Test("an evaluation is equal after encoding to JSON and decoding") func json() throws {
        let evaluation = try Evaluator(model: planeModel()).evaluate(input).evaluation
        let data = try JSONEncoder().encode(evaluation)
        #expect(try JSONDecoder().decode(Evaluation.self, from: data) == evaluation)
        let keys = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(keys["format"] as? String == "letter-evaluation/1")
        #expect(keys["cf_neighbours"] is [String: Any] && keys["first_level_groups"] is [Any])
    }

    @Test("data that cannot be evaluated is refused") func refused() throws {
        let evaluator = Evaluator(model: try planeModel())
        func expect(_ code: String, _ input: EvaluationInput) {
            let failure = #expect(throws: TokenizerError.self) { try evaluator.evaluate(input) }
            #expect(failure?.code == "tokenizer.\(code)")
        }
        expect("bad_data", EvaluationInput(semantic: Matrix(rows: 0, columns: 2)))
        expect("wrong_width", EvaluationInput(semantic: Matrix(rows: 1, columns: 3)))
        expect("not_finite", EvaluationInput(semantic: Matrix(rows: 1, columns: 2, [.infinity, 0])))
        var wrong = input
        wrong.unseen = [8]
        expect("bad_data", wrong)
        wrong = input
        wrong.categories?.removeLast()
        expect("bad_data", wrong)
        wrong = input
        wrong.collaborative = Matrix(rows: 7, columns: 2)
        expect("bad_data", wrong)
    }
}
