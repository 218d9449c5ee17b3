/// Work that is split among threads.
///
/// The threads write different elements, so the results of elementwise work do not depend on their number.
package enum Parallel {
    /// The number of threads that work started here may use.
    @TaskLocal private static var threads = 1

    /// Elements that are worth another thread: about 5 µs of work.
    private static let grain = 1 << 13

    /// Runs `body`; work that it starts may use this many threads. Elsewhere all work runs on one thread.
    package static func withThreads<R>(_ count: Int, _ body: () throws -> R) rethrows -> R {
        try $threads.withValue(max(1, count), operation: body)
    }

    /// Calls `body` with consecutive ranges that make up 0..<`count`, on several threads at once if there is enough work.
    ///
    /// - Parameters:
    ///   - width: elements that each of the `count` stands for.
    ///   - alignment: every range but the last begins and ends at a multiple of it.
    package static func ranges(_ count: Int, width: Int = 1, alignment: Int = 1, _ body: (Range<Int>) -> Void) {
        let number = min(threads, max(1, count * width / grain))
        guard number > 1 else { return body(0..<count) }
        let size = ((count + number - 1) / number + alignment - 1) / alignment * alignment
        ThreadTeam.shared.run(number) { index in
            let start = min(index * size, count)
            body(start..<(index == number - 1 ? count : min(start + size, count)))
        }
    }

    /// Calls `body` with 0, 1, …, `count` − 1 at the same time, each on a thread of its own, and returns when all calls have
    /// returned. For calls of a millisecond and more that share out their work between them.
    ///
    /// If other work is being split at the moment, the calls run one after another on this thread; so a call must not wait
    /// for another one.
    package static func concurrently(_ count: Int, _ body: (Int) -> Void) { ThreadTeam.shared.run(count, body) }
}
