import Catalog
import Tokenizer
import Core

/// Encodes embeddings with a generation's frozen tokenizer, on the thread that multiplies matrices.
actor Encoder {
    private let threads: PipelineThreads
    private let generation: Int
    private let model: TokenizerModel
    private lazy var encoder = FrozenEncoder(model: model)

    nonisolated var unownedExecutor: UnownedSerialExecutor { threads.encode.asUnownedSerialExecutor() }

    init(generation: Int, model: TokenizerModel, threads: PipelineThreads) {
        self.generation = generation
        self.model = model
        self.threads = threads
    }

    /// The encoding, and how much of the time went to the codebooks.
    func encode(_ batch: VectorBatch) throws -> (encoding: Encoding, quantise: Duration) {
        threads.record.begin(batch.items, batch.digests, generation: generation)
        defer { threads.record.finish() }
        threads.hooks.willEncode(batch.items)
        let before = encoder.quantising
        return (try encoder.encode(batch.vectors, count: batch.items.count), encoder.quantising - before)
    }

    /// Balances the codes of a whole catalog; the rows that have others then, and their codes.
    func balance(codes: [Code], latents: [Float]) throws -> [(row: Int, codes: Identifier)] {
        let levels = model.levels
        let outcome = try Balancing().balance(codes: codes, latents: latents, model: model)
        return (0..<(codes.count / levels)).compactMap { row in
            let range = (row * levels)..<((row + 1) * levels)
            guard outcome.codes[range] != codes[range] else { return nil }
            return Identifier(outcome.codes[range]).map { (row, $0) }
        }
    }
}
