import TokenizerFixtures
import Numerics
import Testing
import Tokenizer
import Core

@Suite struct ParallelEncoderTests {
    private struct Unreadable: Error {}

    private func embeddings(_ count: Int) -> [Float] {
        var random = Random(seed: 7)
        var matrix = random.normalMatrix(rows: count, columns: 384, deviation: 1)
        matrix.normaliseRows(factor: 1)
        return matrix.values
    }

    @Test("any number of threads gives the result of one encoder, in order", arguments: [1, 2, 3])
    func equal(threads: Int) throws {
        let model = try Fixtures.frozen()
        // Nothing, fewer blocks of 1,024 than threads, whole blocks, and a last block that is not full.
        for count in [0, 1, 4_096, 9_000] {
            let vectors = embeddings(count)
            let whole = try FrozenEncoder(model: model).encode(vectors, count: count)
            var (codes, latents, next): ([Code], [Float], Int) = ([], [], 0)
            try ParallelEncoder(model: model, threads: threads).encode(
                count: count, read: { Array(vectors[($0.lowerBound * 384)..<($0.upperBound * 384)]) }
            ) { range, encoding in
                #expect(range.lowerBound == next)
                next = range.upperBound
                codes += encoding.codes
                latents += encoding.latents
            }
            #expect(next == count)
            #expect(codes == whole.codes)
            #expect(latents == whole.latents)
        }
    }

    @Test("an error in reading ends the encoding, after all earlier rows were given out")
    func unreadable() throws {
        let vectors = embeddings(4_096)
        var last = 0
        #expect(throws: Unreadable.self) {
            try ParallelEncoder(model: try Fixtures.frozen(), threads: 2).encode(
                count: 20_000,
                read: { range in
                    guard range.upperBound <= 8_192 else { throw Unreadable() }
                    return Array(vectors.prefix(range.count * 384))
                }
            ) { range, _ in last = range.upperBound }
        }
        #expect(last == 8_192)
    }
}
