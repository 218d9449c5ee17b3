import Numerics
import Synchronization

/// Encodes whole collections on several threads, with a `FrozenEncoder` for each.
///
/// The result does not depend on the number of threads.
package final class ParallelEncoder {
    /// The model in use.
    package var model: TokenizerModel { encoders[0].model }
    private let encoders: [FrozenEncoder]

    /// Rows that a thread reads and encodes at a time.
    private static let blockRows = 1_024
    /// Blocks for each thread whose results are held before they are given out.
    private static let blocksAhead = 16

    /// Prepares an encoder for each thread. O(threads · weights).
    ///
    /// - Precondition: `threads` is positive.
    package init(model: TokenizerModel, threads: Int) {
        precondition(threads > 0, "there is at least one thread")
        encoders = (0..<threads).map { _ in FrozenEncoder(model: model) }
    }

    /// Encodes rows 0 to `count` − 1, and gives out the encodings in order. Blocks the calling thread.
    ///
    /// Memory: for each thread a block of 1,024 embeddings and the results of 16 blocks.
    ///
    /// - Parameters:
    ///   - read: returns the embeddings of a range of rows, row by row; called on several threads at once.
    ///   - consume: takes the encoding of the next range of rows; called on the calling thread.
    /// - Throws: what `read` and `consume` throw; `TokenizerError` (`tokenizer.wrong_width`) if `read` returns another number
    ///   of values than its rows have. Earlier ranges have been given out then.
    package func encode(
        count: Int, read: @Sendable (Range<Int>) throws -> [Float], consume: (Range<Int>, Encoding) throws -> Void
    ) throws {
        let size = encoders.count * Self.blocksAhead * Self.blockRows
        for start in stride(from: 0, to: count, by: size) {
            let end = min(start + size, count)
            let ranges = stride(from: start, to: end, by: Self.blockRows).map { $0..<min($0 + Self.blockRows, end) }
            let results = Mutex([Result<Encoding, any Error>?](repeating: nil, count: ranges.count))
            let next = Atomic<Int>(0)
            // Each encoder is used by the one call with its number.
            nonisolated(unsafe) let encoders = encoders
            Parallel.concurrently(encoders.count) { number in
                // Blocks are taken one at a time, so that a thread that is held up takes fewer.
                while true {
                    let block = next.add(1, ordering: .relaxed).oldValue
                    guard block < ranges.count else { return }
                    let range = ranges[block]
                    let result = Result { try encoders[number].encode(try read(range), count: range.count) }
                    results.withLock { $0[block] = result }
                }
            }
            for (range, result) in zip(ranges, results.withLock { $0 }) {
                if let encoding = try result?.get() { try consume(range, encoding) }
            }
        }
    }
}
