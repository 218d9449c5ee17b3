import Foundation
import Numerics
import Synchronization
import TestSupport
import Testing

/// Work that is split among threads.
@Suite(.timeLimit(.minutes(2))) struct ParallelTests {
    @Test(arguments: [1, 2, 3, 5]) func `the ranges cover everything once, and begin at multiples of the alignment`(
        threads: Int
    ) {
        for (count, alignment) in [(0, 1), (1, 1), (100, 16), (8_192, 1), (100_001, 16), (262_144, 64)] {
            let ranges = Mutex<[Range<Int>]>([])
            Parallel.withThreads(threads) {
                Parallel.ranges(count, width: 4, alignment: alignment) { range in ranges.withLock { $0.append(range) } }
            }
            let taken = ranges.withLock { $0 }.sorted { $0.lowerBound < $1.lowerBound }
            #expect(taken.count <= threads)
            #expect(taken.first?.lowerBound == 0 && taken.map(\.upperBound).max() == count)
            for (range, next) in zip(taken, taken.dropFirst()) where !next.isEmpty {
                #expect(range.upperBound == next.lowerBound)
                #expect(next.lowerBound % alignment == 0)
            }
            if count * 4 > 100_000 { #expect(taken.count == threads) }
        }
    }

    @Test func `ranges run at the same time, nested ones in turn, also after the helpers fell asleep`() {
        for _ in 1...3 {
            // If another test occupies the team, the ranges run in turn, and the loop tries again.
            var met = false
            for _ in 0..<1_000 where !met {
                let begun = Atomic<Int>(0)
                let waited = Atomic<Int>(0)
                Parallel.withThreads(2) {
                    Parallel.ranges(2, width: 1 << 20) { _ in
                        begun.add(1, ordering: .sequentiallyConsistent)
                        let end = ContinuousClock.now + .milliseconds(50)
                        while begun.load(ordering: .sequentiallyConsistent) < 2, .now < end { sched_yield() }
                        if begun.load(ordering: .sequentiallyConsistent) < 2 {
                            waited.add(1, ordering: .sequentiallyConsistent)
                        }
                        let own = Mutex<[Range<Int>]>([])
                        Parallel.ranges(1_000_000) { range in own.withLock { $0.append(range) } }
                        #expect(own.withLock { $0.reduce(0) { $0 + $1.count } } == 1_000_000)
                    }
                }
                met = waited.load(ordering: .sequentiallyConsistent) == 0
            }
            #expect(met)
            // Long enough for helpers to fall asleep.
            usleep(20_000)
        }
    }

    @Test func `many threads can split work at the same time, and all of it is done`() {
        let total = Atomic<Int>(0)
        let callers = (0..<6).map { _ in
            Thread {
                for _ in 0..<500 {
                    Parallel.withThreads(3) {
                        Parallel.ranges(100, width: 10_000) { total.add($0.count, ordering: .relaxed) }
                    }
                }
            }
        }
        for caller in callers { caller.start() }
        while callers.contains(where: { !$0.isFinished }) { usleep(1_000) }
        #expect(total.load(ordering: .relaxed) == 6 * 500 * 100)
    }

    @Test(arguments: [1, 2, 5]) func `concurrent calls are each made once`(count: Int) {
        let calls = Mutex<[Int]>([])
        Parallel.concurrently(count) { number in calls.withLock { $0.append(number) } }
        #expect(calls.withLock { $0 }.sorted() == Array(0..<count))
    }

    @Test(arguments: [false, true], [false, true])
    func `a product that is split among threads agrees with the definition`(transposeA: Bool, transposeB: Bool) {
        for (m, n, k) in [(300, 40, 90), (33, 500, 70), (129, 128, 64)] {
            var random = SeededGenerator(seed: UInt64(m))
            let a = Matrix(rows: transposeA ? k : m, columns: transposeA ? m : k, random.vector(m * k))
            let b = Matrix(rows: transposeB ? n : k, columns: transposeB ? k : n, random.vector(n * k))
            let before = Matrix(rows: m, columns: n, random.vector(m * n))
            let expected = zip(plainProduct(a, transposeA, b, transposeB), before.values).map { 2 * $0 - Double($1) }
            for threads in [1, 2, 3] {
                var c = before
                Parallel.withThreads(threads) {
                    BLAS.multiply(a, transposeA: transposeA, b, transposeB: transposeB, alpha: 2, beta: -1, into: &c)
                }
                let isClose = zip(c.values, expected).allSatisfy { abs(Double($0) - $1) < 1e-4 }
                #expect(isClose, "\(m) × \(n) × \(k), \(threads) threads")
            }
        }
    }

    @Test
    func `scaling agrees with the algorithm of Sinkhorn and Knopp, with the same bits for all widths and threads`() {
        for (rows, columns) in [(1, 1), (5, 3), (128, 32), (129, 40), (300, 256), (7, 71)] {
            var random = SeededGenerator(seed: UInt64(rows))
            let matrix = random.vector(rows * columns).map { Double(abs($0)) + 0.01 }
            var v = [Double](repeating: 1, count: columns)
            var u = [Double](repeating: 0, count: rows)
            for _ in 0..<20 {
                for row in 0..<rows {
                    u[row] = 1 / (0..<columns).reduce(0) { $0 + matrix[row * columns + $1] * v[$1] } / Double(rows)
                }
                for column in 0..<columns {
                    v[column] =
                        1 / (0..<rows).reduce(0) { $0 + matrix[$1 * columns + column] * u[$1] } / Double(columns)
                }
            }
            let found = Scaling.factors(matrix, rows: rows, columns: columns, iterations: 20)
            #expect(zip(found.u, u).allSatisfy { abs($0 - $1) <= 1e-12 * $1 })
            #expect(zip(found.v, v).allSatisfy { abs($0 - $1) <= 1e-12 * $1 })
            for simd in SIMDWidth.supported {
                for threads in [1, 2, 3] {
                    let other = Parallel.withThreads(threads) {
                        Scaling.factors(matrix, rows: rows, columns: columns, iterations: 20, by: simd)
                    }
                    #expect(other.u.map(\.bitPattern) == found.u.map(\.bitPattern), "\(simd), \(threads) threads")
                    #expect(other.v.map(\.bitPattern) == found.v.map(\.bitPattern), "\(simd), \(threads) threads")
                }
            }
        }
    }
}
