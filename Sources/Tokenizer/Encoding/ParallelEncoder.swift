import Dispatch
import Synchronization

/// Encodes whole collections on several threads, a `FrozenEncoder` each.
///
/// The codes are those of one `FrozenEncoder`: an embedding's bits depend on nothing beside it.
package final class ParallelEncoder {
    /// The model in use.
    package var model: TokenizerModel { encoders[0].model }
    private let encoders: [FrozenEncoder]

    /// Rows that a thread reads and encodes at a time, and how many times that it may get ahead of the others.
    private static let blockRows = 1_024
    private static let blocksAhead = 16

    /// - Precondition: `threads` is positive.
    package init(model: TokenizerModel, threads: Int) {
        precondition(threads > 0, "there is at least one thread")
        encoders = (0..<threads).map { _ in FrozenEncoder(model: model) }
    }

    /// Encodes rows 0 to `count` − 1, and gives the encodings in order. Blocks the thread.
    ///
    /// Memory: a block of embeddings and 16 of results for each thread.
    ///
    /// - Parameters:
    ///   - read: gives the embeddings of a range of rows, row by row; called on several threads at once.
    ///   - consume: takes the encoding of the range that follows the last one; called on the caller's thread.
    /// - Throws: what `read` and `consume` throw; `tokenizer.wrong_width`.
    package func encode(
        count: Int, read: @Sendable (Range<Int>) throws -> [Float], consume: (Range<Int>, Encoding) throws -> Void
    ) throws {
        let size = encoders.count * Self.blocksAhead * Self.blockRows
        for start in stride(from: 0, to: count, by: size) {
            let end = min(start + size, count)
            let ranges = stride(from: start, to: end, by: Self.blockRows).map { $0..<min($0 + Self.blockRows, end) }
            let results = Mutex([Result<Encoding, any Error>?](repeating: nil, count: ranges.count))
            let next = Atomic<Int>(0)
            // Each is used by the one call of its number.
            nonisolated(unsafe) let encoders = encoders
            DispatchQueue.concurrentPerform(iterations: encoders.count) { number in
                // A thread that is held up takes fewer blocks.
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
