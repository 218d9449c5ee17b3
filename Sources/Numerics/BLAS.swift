import COpenBLAS
import Glibc

/// Matrix products by OpenBLAS.
package enum BLAS {
    /// C ← α · op(A) · op(B) + β · C, where op transposes or not. C must have the product's size. 2mnk operations.
    ///
    /// With β = 0, C's elements are not read.
    package static func multiply(
        _ a: Matrix, transposeA: Bool = false, _ b: Matrix, transposeB: Bool = false, alpha: Float = 1, beta: Float = 0,
        into c: inout Matrix
    ) {
        let (m, k) = transposeA ? (a.columns, a.rows) : (a.rows, a.columns)
        let (k2, n) = transposeB ? (b.columns, b.rows) : (b.rows, b.columns)
        precondition(k == k2, "inner sizes differ: \(k) and \(k2)")
        precondition(c.rows == m && c.columns == n, "the product is \(m) × \(n), not \(c.rows) × \(c.columns)")
        guard m > 0, n > 0 else { return }
        guard k > 0 else {
            if beta == 0 { c.fill(0) } else { c.scale(by: beta) }
            return
        }
        let (lda, ldb) = (Int32(a.columns), Int32(b.columns))
        c.withMutablePointer { c, _ in
            a.withPointer { a, _ in
                b.withPointer { b, _ in
                    cblas_sgemm(
                        CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
                        Int32(m), Int32(n), Int32(k), alpha, a, lda, b, ldb, beta, c, Int32(n))
                }
            }
        }
    }

    /// The product of two matrices, newly made.
    package static func product(
        _ a: Matrix, transposeA: Bool = false, _ b: Matrix, transposeB: Bool = false
    ) -> Matrix {
        var c = Matrix(rows: transposeA ? a.columns : a.rows, columns: transposeB ? b.rows : b.columns)
        multiply(a, transposeA: transposeA, b, transposeB: transposeB, into: &c)
        return c
    }

    private static let gate = ThreadGate()

    /// Runs products on this many threads each.
    ///
    /// OpenBLAS has one number of threads for the whole process, and results may differ in the last bits between
    /// numbers. So calls with the same number run at once, and one with another number waits until they have ended.
    /// Blocks the thread meanwhile; calls must not be nested with different numbers.
    package static func withThreads<R>(_ count: Int, _ body: () throws -> R) rethrows -> R {
        gate.enter(max(1, count))
        defer { gate.leave() }
        return try body()
    }

    /// Threads that `withThreads` allows now; 1 outside of it.
    static var threads: Int { gate.allowed }
}

/// Lets users of one number of threads in together, and those of another only after them.
///
/// Unchecked Sendable: `number` and `users` are touched only while `mutex` is held.
private final class ThreadGate: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var number = 0
    private var users = 0

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
    }

    /// The number of those who are in, 1 if nobody is.
    var allowed: Int {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return users > 0 ? number : 1
    }

    func enter(_ count: Int) {
        pthread_mutex_lock(mutex)
        while users > 0 && number != count { pthread_cond_wait(changed, mutex) }
        if number != count {
            openblas_set_num_threads(Int32(count))
            number = count
        }
        users += 1
        pthread_mutex_unlock(mutex)
    }

    func leave() {
        pthread_mutex_lock(mutex)
        users -= 1
        if users == 0 { pthread_cond_broadcast(changed) }
        pthread_mutex_unlock(mutex)
    }
}

/// Products in double precision, for Sinkhorn and for the costs of assignments.
package enum BLAS64 {
    /// A · Bᵀ: all inner products of the m rows of A (m, k) with the n rows of B (n, k), (m, n), row by row.
    ///
    /// - Precondition: the elements fill the matrices.
    package static func products(_ a: [Double], rows m: Int, _ b: [Double], rows n: Int, width k: Int) -> [Double] {
        precondition(a.count == m * k && b.count == n * k, "the elements do not fill the matrices")
        guard m > 0, n > 0, k > 0 else { return [Double](repeating: 0, count: m * n) }
        return [Double](unsafeUninitializedCapacity: m * n) { c, initialised in
            a.withUnsafeBufferPointer { a in
                b.withUnsafeBufferPointer { b in
                    cblas_dgemm(
                        CblasRowMajor, CblasNoTrans, CblasTrans, Int32(m), Int32(n), Int32(k), 1, a.baseAddress,
                        Int32(k), b.baseAddress, Int32(k), 0, c.baseAddress, Int32(n))
                }
            }
            initialised = m * n
        }
    }

    /// y ← A · x, or Aᵀ · x, of a rows × columns matrix of doubles, row by row.
    ///
    /// - Precondition: the sizes agree.
    package static func multiply(
        _ a: [Double], rows: Int, columns: Int, transposed: Bool, _ x: [Double], into y: inout [Double]
    ) {
        precondition(a.count == rows * columns, "the elements do not fill the matrix")
        precondition(
            x.count == (transposed ? rows : columns) && y.count == (transposed ? columns : rows), "wrong sizes")
        guard rows > 0, columns > 0 else { return }
        y.withUnsafeMutableBufferPointer { y in
            a.withUnsafeBufferPointer { a in
                x.withUnsafeBufferPointer { x in
                    cblas_dgemv(
                        CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, Int32(rows), Int32(columns), 1,
                        a.baseAddress, Int32(columns), x.baseAddress, 1, 0, y.baseAddress, 1)
                }
            }
        }
    }
}
