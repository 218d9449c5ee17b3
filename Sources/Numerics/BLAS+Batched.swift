import COpenBLAS

extension BLAS {
    /// Cᵢ ← α · op(Aᵢ) · op(Bᵢ) + β · Cᵢ for every matrix i of three batches, where op transposes or not.
    ///
    /// Whole products are split among the threads that `Parallel` may use, so their bits do not depend on the number of
    /// threads; a batch of one is split by rows, and its last bits may. With β = 0, the elements of C that the view has
    /// are not read. Elements outside the view stay as they are. 2 · count · m · n · k operations.
    ///
    /// - Precondition: the views are within their matrices, agree in their numbers of matrices and in the sizes of the
    ///   products, and no two elements of C's are the same.
    package static func multiply(
        _ a: Matrix, at viewA: MatrixView, transposeA: Bool = false, _ b: Matrix, at viewB: MatrixView,
        transposeB: Bool = false, alpha: Float = 1, beta: Float = 0, into c: inout Matrix, at viewC: MatrixView
    ) {
        let (m, k) = transposeA ? (viewA.columns, viewA.rows) : (viewA.rows, viewA.columns)
        let (k2, n) = transposeB ? (viewB.columns, viewB.rows) : (viewB.rows, viewB.columns)
        precondition(k == k2, "inner sizes differ: \(k) and \(k2)")
        precondition(viewC.rows == m && viewC.columns == n, "the products are \(m) × \(n)")
        precondition(viewA.count == viewC.count && viewB.count == viewC.count, "the batches differ in size")
        precondition(viewA.isWithin(a) && viewB.isWithin(b) && viewC.isWithin(c), "a view goes beyond its matrix")
        precondition(viewC.isDisjoint, "two products would be written to one place")
        guard viewC.elements > 0 else { return }
        _ = oneThread
        let (orderA, orderB) = (transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans)
        c.withMutablePointer { c, _ in
            a.withPointer { a, _ in
                b.withPointer { b, _ in
                    nonisolated(unsafe) let (a, b, c) = (a, b, c)
                    let rows = viewC.count * m
                    // Whole matrices, if there are several.
                    Parallel.ranges(rows, width: n * max(1, k / 32), alignment: viewC.count > 1 ? m : 16) { range in
                        var row = range.lowerBound
                        while row < range.upperBound {
                            let (index, first) = row.quotientAndRemainder(dividingBy: m)
                            let count = min(m - first, range.upperBound - row)
                            let target = c + viewC.start(index) + first * viewC.stride
                            if k > 0 {
                                cblas_sgemm(
                                    CblasRowMajor, orderA, orderB, Int32(count), Int32(n), Int32(k), alpha,
                                    a + viewA.start(index) + first * (transposeA ? 1 : viewA.stride),
                                    Int32(viewA.stride), b + viewB.start(index), Int32(viewB.stride), beta, target,
                                    Int32(viewC.stride))
                            } else {
                                for i in 0..<count {
                                    let y = target + i * viewC.stride
                                    for j in 0..<n { y[j] = beta == 0 ? 0 : beta * y[j] }
                                }
                            }
                            row += count
                        }
                    }
                }
            }
        }
    }
}
