import COpenBLAS

/// Matrix products by OpenBLAS.
///
/// A large product is split into ranges of rows or columns, one for each thread that `Parallel` may use, and each thread
/// multiplies its own range with one thread of OpenBLAS. OpenBLAS's own threads wait for each other within every product,
/// which costs a quarter of the speed. Results may differ in the last bits between numbers of threads.
package enum BLAS {
    /// C ← α · op(A) · op(B) + β · C, where op(A) is A or Aᵀ, (m, k), and op(B) is B or Bᵀ, (k, n). 2mnk operations.
    ///
    /// With β = 0 the elements of C are not read.
    ///
    /// - Precondition: the inner sizes agree, and C is (m, n).
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
        _ = oneThread
        let (lda, ldb) = (a.columns, b.columns)
        c.withMutablePointer { c, _ in
            a.withPointer { a, _ in
                b.withPointer { b, _ in
                    nonisolated(unsafe) let (a, b, c) = (a, b, c)
                    // The longer side is split, so that the products are as square as possible.
                    let byRows = m >= n
                    Parallel.ranges(max(m, n), width: min(m, n) * k / operationsOfElement, alignment: 16) { range in
                        let (start, count) = (range.lowerBound, range.count)
                        guard count > 0 else { return }
                        cblas_sgemm(
                            CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans,
                            transposeB ? CblasTrans : CblasNoTrans, Int32(byRows ? count : m),
                            Int32(byRows ? n : count), Int32(k), alpha,
                            byRows ? a + start * (transposeA ? 1 : lda) : a, Int32(lda),
                            byRows ? b : b + start * (transposeB ? ldb : 1), Int32(ldb), beta,
                            c + (byRows ? start * n : start), Int32(n))
                    }
                }
            }
        }
    }

    /// How many multiply-adds of a product take about as long as one element of an elementwise loop.
    private static let operationsOfElement = 32

    /// Makes OpenBLAS use the calling thread only; evaluated once, before the first product.
    static let oneThread: Void = openblas_set_num_threads(1)

    /// The product op(A) · op(B) as a new matrix.
    ///
    /// - Precondition: the inner sizes agree.
    package static func product(
        _ a: Matrix, transposeA: Bool = false, _ b: Matrix, transposeB: Bool = false
    ) -> Matrix {
        var c = Matrix(rows: transposeA ? a.columns : a.rows, columns: transposeB ? b.rows : b.columns)
        multiply(a, transposeA: transposeA, b, transposeB: transposeB, into: &c)
        return c
    }
}

/// Products in double precision, for the costs of assignments.
package enum BLAS64 {
    /// A · Bᵀ, (m, n), row by row: the inner products of all rows of A, (m, k), with all rows of B, (n, k). 2mnk operations.
    ///
    /// - Precondition: `a` has m · k elements and `b` has n · k.
    package static func products(_ a: [Double], rows m: Int, _ b: [Double], rows n: Int, width k: Int) -> [Double] {
        precondition(a.count == m * k && b.count == n * k, "the elements do not fill the matrices")
        guard m > 0, n > 0, k > 0 else { return [Double](repeating: 0, count: m * n) }
        _ = BLAS.oneThread
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
}
