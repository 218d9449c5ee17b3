import Dispatch
import Synchronization

/// Encodes whole collections on several threads, a `FrozenEncoder` each.
///
/// The codes are those of one `FrozenEncoder`: an embedding's bits depend on nothing beside it.
package final class ParallelEncoder {
    /// The model in use.
    package var model: TokenizerModel { encoders[0].model }
    private let encoders: [FrozenEncoder]

    /// Rows that a thread reads and encodes at a time.
    private static let blockRows = 4_096

    /// - Precondition: `threads` is positive.
    package init(model: TokenizerModel, threads: Int) {
        precondition(threads > 0, "there is at least one thread")
        encoders = (0..<threads).map { _ in FrozenEncoder(model: model) }
    }

    /// Encodes rows 0 to `count` − 1, and gives the encodings in order. Blocks the thread.
    ///
    /// Memory: a block of embeddings and of results for each thread.
    ///
    /// - Parameters:
    ///   - read: gives the embeddings of a range of rows, row by row; called on several threads at once.
    ///   - consume: takes the encoding of the range that follows the last one; called on the caller's thread.
    /// - Throws: what `read` and `consume` throw; `tokenizer.wrong_width`.
    package func encode(
        count: Int, read: @Sendable (Range<Int>) throws -> [Float], consume: (Range<Int>, Encoding) throws -> Void
    ) throws {
        var start = 0
        while start < count {
            let ranges = encoders.indices.map { number in
                let first = min(start + number * Self.blockRows, count)
                return first..<min(first + Self.blockRows, count)
            }
            let results = Mutex([Result<Encoding, any Error>?](repeating: nil, count: ranges.count))
            // Each is used by the one call of its number.
            nonisolated(unsafe) let encoders = encoders
            DispatchQueue.concurrentPerform(iterations: ranges.count) { number in
                let range = ranges[number]
                let result = Result { try encoders[number].encode(try read(range), count: range.count) }
                results.withLock { $0[number] = result }
            }
            for (range, result) in zip(ranges, results.withLock { $0 }) where !range.isEmpty {
                if let encoding = try result?.get() { try consume(range, encoding) }
            }
            start = ranges[ranges.count - 1].upperBound
        }
    }
}
