import Dispatch

/// Loops over elements or rows, parted among as many threads as `BLAS.withThreads` allows.
///
/// The parts touch different elements, so results do not depend on the number of threads.
package enum Parallel {
    /// Elements that are worth another thread: about 20 µs of work.
    private static let grain = 1 << 15

    /// Calls `body` with ranges that together are 0..<`count`, on several threads at once where there is work enough.
    ///
    /// - Parameters:
    ///   - width: elements that each of the `count` stands for.
    ///   - alignment: all ranges but the last begin and end at multiples of it.
    package static func ranges(_ count: Int, width: Int = 1, alignment: Int = 1, _ body: (Range<Int>) -> Void) {
        let parts = min(BLAS.threads, max(1, count * width / grain))
        guard parts > 1 else { return body(0..<count) }
        nonisolated(unsafe) let body = body
        let size = (count / parts + alignment) / alignment * alignment
        DispatchQueue.concurrentPerform(iterations: parts) { part in
            let start = min(part * size, count)
            body(start..<(part == parts - 1 ? count : min(start + size, count)))
        }
    }
}
