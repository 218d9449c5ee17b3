import CKernels

/// Scaling the rows and the columns of a positive matrix in turn, by Sinkhorn and Knopp.
package enum Scaling {
    /// Rows whose part of the columns' sums is taken alone, so that these do not depend on the number of threads.
    private static let chunkRows = 128

    /// Factors u of the rows and v of the columns, so that diag(u) · M · diag(v) has rows that sum to 1 / rows and, exactly
    /// but for rounding, columns that sum to 1 / columns. O(iterations · elements), the matrix being read once for each.
    ///
    /// In double precision. The bits depend neither on the processor nor on the number of threads.
    ///
    /// - Precondition: the elements fill the matrix.
    package static func factors(
        _ matrix: [Double], rows: Int, columns: Int, iterations: Int, by kind: VectorKind = .widest
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
                                    let part = sums + chunk * columns
                                    part.update(repeating: 0, count: columns)
                                    letter_scale_rows(
                                        kind.rawValue, m + start * columns, min(chunkRows, rows - start), columns, v,
                                        Double(rows), u + start, part)
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
