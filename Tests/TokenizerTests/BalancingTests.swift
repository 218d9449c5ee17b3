import TokenizerFixtures
import Files
import Numerics
import Testing
import Tokenizer
import Core

/// The published balancing of a whole catalog.
@Suite struct BalancingTests {
    /// Two levels of four codes on a line: 0, 10, 20, 30, and then 0, 1, 2, 3.
    private func lineModel() throws -> TokenizerModel {
        let identity = Layer(weight: Matrix(rows: 1, columns: 1, [1]), bias: Matrix(rows: 1, columns: 1))
        return try TokenizerModel(
            encoder: [identity],
            codebooks: [Matrix(rows: 4, columns: 1, [0, 10, 20, 30]), Matrix(rows: 4, columns: 1, [0, 1, 2, 3])])
    }

    private func balance(_ latents: [Float], rounds: Int = 20) throws -> (natural: [Code], Balancing.Outcome) {
        let model = try lineModel()
        let encoding = try FrozenEncoder(model: model).encode(latents, count: latents.count)
        var balancing = Balancing()
        balancing.rounds = rounds
        return (
            encoding.codes, try balancing.balance(codes: encoding.codes, latents: encoding.latents, model: model)
        )
    }

    @Test("items that collide get different last codes, and the others keep theirs") func separated() throws {
        let (natural, outcome) = try balance([1.2, 0.9, 10, 22.2])
        #expect(natural == [0, 1, 0, 1, 1, 0, 2, 2])
        #expect(outcome.sharedBefore == 2 && outcome.sharedAfter == 0 && outcome.rounds == 1)
        // Each of the two has two codes of its own: the lower item the lower ones.
        #expect(outcome.codes[0] == 0 && outcome.codes[1] >= 2 && outcome.codes[2] == 0 && outcome.codes[3] <= 1)
        #expect(outcome.codes[4...] == natural[4...])
        #expect((1...2).contains(outcome.moved))
    }

    @Test("without collisions, or with no rounds, nothing moves") func nothing() throws {
        let (natural, outcome) = try balance([0, 1, 2, 13])
        #expect(outcome.codes == natural && outcome.rounds == 0 && outcome.moved == 0 && outcome.sharedBefore == 0)
        let (untouched, none) = try balance([1.1, 0.9], rounds: 0)
        #expect(none.codes == untouched && none.sharedAfter == 2)
        #expect(try Balancing().balance(codes: [], latents: [], model: lineModel()).codes.isEmpty)
    }

    @Test("equal embeddings keep equal codes, alone and next to others") func equals() throws {
        let (natural, alone) = try balance([1.1, 1.1, 1.1])
        #expect(alone.codes == natural && alone.rounds == 0 && alone.sharedAfter == 3)
        let (_, mixed) = try balance([1.1, 0.9, 1.1])
        #expect(mixed.codes[1] == mixed.codes[5] && mixed.codes[1] != mixed.codes[3])
        #expect(mixed.sharedAfter == 2)
    }

    @Test("more items than codes cannot all be separated, and the rounds end") func tooMany() throws {
        let (_, outcome) = try balance((0..<9).map { 1 + Float($0) * 0.01 })
        #expect(outcome.rounds == 20 && outcome.sharedAfter >= 5)
        #expect(Set(stride(from: 1, to: 18, by: 2).map { outcome.codes[$0] }).count >= 3)
    }

    @Test("unusable rows keep their codes and do not count as sharing") func unusable() throws {
        let model = try lineModel()
        let outcome = try Balancing().balance(codes: [0, 1, 0, 1], latents: [1.1, 0.9], unusable: [0], model: model)
        #expect(outcome.codes == [0, 1, 0, 1] && outcome.sharedBefore == 0)
        #expect(throws: TokenizerError.self) { try Balancing().balance(codes: [0], latents: [0], model: model) }
        #expect(throws: TokenizerError.self) { try Balancing().balance(codes: [0, 4], latents: [0], model: model) }
    }

    @Test(
        "on Scientific only equal embeddings collide afterwards", .enabled(if: Fixtures.scientific != nil))
    func scientific() throws {
        let data = try NumPyFile(try #require(Fixtures.scientific))
        let model = try Fixtures.frozen()
        let vectors = try data.floats()
        let encoding = try FrozenEncoder(model: model).encode(vectors, count: data.rows)
        let outcome = try Balancing().balance(codes: encoding.codes, latents: encoding.latents, model: model)
        // 12 pairs of items have equal embeddings; NumPy finds 4,332 distinct identifiers too.
        #expect(outcome.sharedBefore == 145 && outcome.sharedAfter == 24)
        let identifiers = (0..<data.rows).map { outcome.codes[($0 * 4)..<($0 * 4 + 4)] }
        #expect(Set(identifiers).count == 4332)
        #expect(outcome.moved > 60 && outcome.moved < 145 && outcome.rounds <= 5)
        var moved = 0
        for row in 0..<data.rows {
            #expect(identifiers[row].prefix(3) == encoding.codes[(row * 4)..<(row * 4 + 3)])
            if identifiers[row].last != encoding.codes[row * 4 + 3] { moved += 1 }
        }
        #expect(moved == outcome.moved)
        var byVector: [ArraySlice<Float>: [Int]] = [:]
        for row in 0..<data.rows { byVector[vectors[(row * 384)..<((row + 1) * 384)], default: []].append(row) }
        let twins = byVector.values.filter { $0.count > 1 }
        #expect(twins.count == 12)
        #expect(twins.allSatisfy { rows in rows.allSatisfy { identifiers[$0] == identifiers[rows[0]] } })
        #expect(try Balancing().balance(codes: encoding.codes, latents: encoding.latents, model: model) == outcome)
    }
}
