/// Work that is parted among threads.
///
/// The parts touch different elements. Elementwise results do not depend on the number of threads.
package enum Parallel {
    /// Threads that work which is begun here may use.
    @TaskLocal private static var threads = 1

    /// Elements that are worth another thread: about 5 µs of work.
    private static let grain = 1 << 13

    /// Runs work that may be parted among this many threads; outside of it everything runs on one.
    package static func withThreads<R>(_ count: Int, _ body: () throws -> R) rethrows -> R {
        try $threads.withValue(max(1, count), operation: body)
    }

    /// Calls `body` with ranges that together are 0..<`count`, on several threads at once where there is work enough.
    ///
    /// - Parameters:
    ///   - width: elements that each of the `count` stands for.
    ///   - alignment: all ranges but the last begin and end at multiples of it.
    package static func ranges(_ count: Int, width: Int = 1, alignment: Int = 1, _ body: (Range<Int>) -> Void) {
        let parts = min(threads, max(1, count * width / grain))
        guard parts > 1 else { return body(0..<count) }
        let size = ((count + parts - 1) / parts + alignment - 1) / alignment * alignment
        ThreadTeam.shared.run(parts) { part in
            let start = min(part * size, count)
            body(start..<(part == parts - 1 ? count : min(start + size, count)))
        }
    }
}
