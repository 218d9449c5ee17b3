import TokenizerFixtures
import Files
import Foundation
import Numerics
import Synchronization
import Testing
import Tokenizer
import Core

@Suite struct FrozenEncoderTests {
    /// Random embeddings of unit length.
    private func embeddings(_ count: Int, seed: UInt64 = 1) -> [Float] {
        var random = Random(seed: seed)
        var matrix = random.normalMatrix(rows: count, columns: 384, deviation: 1)
        matrix.normaliseRows(factor: 1)
        return matrix.values
    }

    @Test("real embeddings get the golden codes, margins and errors", .enabled(if: Fixtures.scientific != nil))
    func golden() throws {
        let data = try NumPyFile(try #require(Fixtures.scientific))
        let expected = try Safetensors(path: Fixtures.path("scientific-frozen-expected.safetensors"))
        let (codes, margins) = (try expected.integers("codes"), try expected.floats("margin"))
        let errors = try expected.floats("quantisation_error")
        let encoder = FrozenEncoder(model: try Fixtures.frozen())
        let result = try encoder.encode(data.floats(), count: data.rows)
        #expect(result.unusable.isEmpty)
        var compared = 0
        for row in 0..<data.rows {
            for level in 0..<4 where margins[(row * 4)...(row * 4 + level)].allSatisfy({ $0 > 1e-5 }) {
                let place = row * 4 + level
                #expect(Int(result.codes[place]) == codes[place], "item \(row), level \(level)")
                #expect(abs(result.margins[place] - margins[place]) <= 1e-4 + 1e-4 * margins[place])
                compared += 1
            }
            #expect(abs(result.quantisationErrors[row] - errors[row]) <= 1e-4 * errors[row] + 1e-5)
        }
        #expect(compared > 17_300)
    }

    @Test("an embedding's bits do not depend on the batch or its position in it", arguments: SIMDWidth.supported)
    func independent(simd: SIMDWidth) throws {
        let encoder = FrozenEncoder(model: try Fixtures.frozen(), width: simd)
        let vectors = embeddings(600)
        let whole = try encoder.encode(vectors, count: 600)
        var random = Random(seed: 4)
        var order = Array(0..<600)
        random.shuffle(&order)
        let shuffled = order.flatMap { vectors[($0 * 384)..<(($0 + 1) * 384)] }
        let other = try FrozenEncoder(model: encoder.model, width: simd).encode(shuffled, count: 600)
        #expect(order.indices.filter { row(other, $0) != row(whole, order[$0]) } == [])
        for item in [0, 1, 15, 16, 191, 192, 255, 256, 299, 599] {
            let alone = try encoder.encode(Array(vectors[(item * 384)..<((item + 1) * 384)]), count: 1)
            #expect(row(alone, 0) == row(whole, item))
        }
        for count in [2, 17, 300] {
            let some = try encoder.encode(Array(vectors[..<(count * 384)]), count: count)
            #expect((0..<count).filter { row(some, $0) != row(whole, $0) } == [])
        }
    }

    @Test("an embedding's bits do not depend on what other threads do") func threads() throws {
        let model = try Fixtures.frozen()
        let vectors = embeddings(200)
        let whole = try FrozenEncoder(model: model).encode(vectors, count: 200)
        let results = Mutex<[Encoding]>([])
        let workers = (0..<4).map { number in
            Thread {
                for _ in 0..<3 {
                    if number < 2 {
                        // Work on two threads at the same time, as a training in the same process would do.
                        let big = Matrix(rows: 300, columns: 300, [Float](repeating: 0.5, count: 90_000))
                        Parallel.withThreads(2) { _ = BLAS.product(big, big) }
                    } else if let result = try? FrozenEncoder(model: model).encode(vectors, count: 200) {
                        results.withLock { $0.append(result) }
                    }
                }
            }
        }
        for worker in workers { worker.start() }
        while workers.contains(where: { !$0.isFinished }) { Thread.sleep(forTimeInterval: 0.01) }
        #expect(results.withLock { $0.count } == 6)
        #expect(results.withLock { $0 }.allSatisfy { $0 == whole })
    }

    /// All bits of a row of an encoding.
    private func row(_ encoding: Encoding, _ row: Int) -> [UInt32] {
        let (l, d) = (encoding.codes.count / encoding.count, encoding.latents.count / encoding.count)
        return encoding.codes[(row * l)..<(row * l + l)].map(UInt32.init)
            + encoding.margins[(row * l)..<(row * l + l)].map(\.bitPattern)
            + encoding.latents[(row * d)..<(row * d + d)].map(\.bitPattern)
            + [encoding.quantisationErrors[row].bitPattern]
    }

    @Test("ties go to the lowest code, and a codebook need not be a multiple of eight") func ties() throws {
        let identity = Layer(
            weight: Matrix(rows: 2, columns: 2, [1, 0, 0, 1]), bias: Matrix(rows: 1, columns: 2))
        let book = Matrix(rows: 3, columns: 2, [9, 9, 1, 1, 1, 1])
        let model = try TokenizerModel(encoder: [identity], codebooks: [book])
        let result = try FrozenEncoder(model: model).encode([1, 1], count: 1)
        #expect(result.codes == [1])
        #expect(result.margins == [0])
    }

    @Test("rows that are not finite are reported, and do not change other rows") func notFinite() throws {
        let encoder = FrozenEncoder(model: try Fixtures.frozen())
        let good = embeddings(3)
        var bad = good
        bad[384] = .nan
        let (expected, result) = (try encoder.encode(good, count: 3), try encoder.encode(bad, count: 3))
        #expect(result.unusable == [1])
        #expect(row(result, 0) == row(expected, 0))
        #expect(row(result, 2) == row(expected, 2))
        bad[384] = 3e38
        bad[385] = -3e38
        #expect(try encoder.encode(bad, count: 3).unusable == [1])
    }

    @Test("a wrong width is refused") func wrong() throws {
        let encoder = FrozenEncoder(model: try Fixtures.frozen())
        #expect(throws: TokenizerError.self) { try encoder.encode([1, 2, 3], count: 1) }
        #expect(try encoder.encode([], count: 0).codes.isEmpty)
    }
}
