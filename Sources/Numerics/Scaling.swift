import CKernels

/// Scaling the rows and the columns of a positive matrix in turn (Sinkhorn and Knopp 1967).
package enum Scaling {
    /// Rows of a chunk. The column sums of each chunk are computed alone, so that they do not depend on the number of threads.
    private static let chunkRows = 128

    /// Factors u of the rows and v of the columns of a positive matrix M, so that in diag(u) · M · diag(v) the columns sum to
    /// 1 / columns, up to rounding, and the rows nearly to 1 / rows. Each iteration sets uᵢ = 1 / (rows · Σⱼ Mᵢⱼ vⱼ) and
    /// then vⱼ = 1 / (columns · Σᵢ uᵢ Mᵢⱼ), from vⱼ = 1 on.
    ///
    /// In double precision. The bits depend neither on the CPU nor on the number of threads. O(iterations · elements); an
    /// iteration reads the matrix once.
    ///
    /// - Precondition: `matrix` has rows · columns elements, row by row.
    package static func factors(
        _ matrix: [Double], rows: Int, columns: Int, iterations: Int, by width: SIMDWidth = .widest
    ) -> (u: [Double], v: [Double]) {
        precondition(matrix.count == rows * columns, "the elements do not fill the matrix")
        var v = [Double](repeating: 1, count: columns)
        var u = [Double](repeating: 1 / Double(max(1, rows)), count: rows)
        guard rows > 0, columns > 0 else { return (u, v) }
        let chunks = (rows + chunkRows - 1) / chunkRows
        var sums = [Double](repeating: 0, count: chunks * columns)
        matrix.withUnsafeBufferPointer { matrix in
            u.withUnsafeMutableBufferPointer { u in
                v.withUnsafeMutableBufferPointer { v in
                    sums.withUnsafeMutableBufferPointer { sums in
                        let (m, u, v, sums) = (
                            matrix.baseAddress!, u.baseAddress!, v.baseAddress!, sums.baseAddress!
                        )
                        for _ in 0..<iterations {
                            Parallel.ranges(chunks, width: chunkRows * columns) { range in
                                for chunk in range {
                                    let start = chunk * chunkRows
                                    let target = sums + chunk * columns
                                    target.update(repeating: 0, count: columns)
                                    letter_scale_rows(
                                        width.rawValue, m + start * columns, min(chunkRows, rows - start), columns, v,
                                        Double(rows), u + start, target)
                                }
                            }
                            for column in 0..<columns {
                                var sum = 0.0
                                for chunk in 0..<chunks { sum += sums[chunk * columns + column] }
                                v[column] = 1 / (Double(columns) * max(sum, .leastNormalMagnitude))
                            }
                        }
                    }
                }
            }
        }
        return (u, v)
    }
}
