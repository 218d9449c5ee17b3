import Glibc
package import Numerics

/// Balanced assignment of residuals to codes by the algorithm of Sinkhorn and Knopp (1967), in double precision.
package struct Sinkhorn: Sendable {
    /// ε: the smaller, the closer the assignment is to the nearest code.
    package var epsilon: Double
    /// How many times rows and columns are scaled.
    package var iterations: Int

    package init(epsilon: Double = 0.003, iterations: Int = 50) {
        self.epsilon = epsilon
        self.iterations = iterations
    }

    /// The balanced matrix Q, (B, N) row by row, of squared distances (B, N). O(iterations · B · N).
    ///
    /// The distances are centred over the whole matrix, d' = (d − middle) / (max − middle + 1e-5) with middle =
    /// (max + min) / 2, and Q = exp(−d' / ε) is scaled `iterations` times: rows to sums of 1, then columns to sums of B / N.
    /// It is computed as B · diag(u) K diag(v). A factor common to a row vanishes in the first scaling, so K holds
    /// exp(−(d − least of the row) · scale), which does not overflow, and has no row of zeros.
    package func balance(_ distances: Matrix) -> [Double] {
        var (kernel, u, v) = scalings(distances)
        let (b, n) = (distances.rows, distances.columns)
        for row in 0..<b {
            for column in 0..<n { kernel[row * n + column] *= v[column] * u[row] * Double(b) }
        }
        u = []
        v = []
        return kernel
    }

    /// The code of each row, (B): the greatest element of its row in the balanced matrix, the lowest of equal ones.
    /// O(iterations · B · N).
    ///
    /// With fewer rows than codes, many elements of a row are equal up to rounding (B / N in each column that only this row
    /// uses), so elements that differ by less than a factor of 1e-12 count as equal.
    package func assign(_ distances: Matrix) -> [Int] {
        let (kernel, _, v) = scalings(distances)
        let n = distances.columns
        return [Int](unsafeUninitializedCapacity: distances.rows) { output, initialised in
            nonisolated(unsafe) let output = output
            Parallel.ranges(distances.rows, width: 2 * n) { range in
                for row in range {
                    var greatest = 0.0
                    for column in 0..<n { greatest = max(greatest, kernel[row * n + column] * v[column]) }
                    let bound = greatest * (1 - 1e-12)
                    output[row] = (0..<n).first { kernel[row * n + $0] * v[$0] >= bound } ?? 0
                }
            }
            initialised = distances.rows
        }
    }

    /// K, u and v, so that Q = B · diag(u) K diag(v).
    private func scalings(_ distances: Matrix) -> (kernel: [Double], u: [Double], v: [Double]) {
        let (b, n) = (distances.rows, distances.columns)
        guard b > 0, n > 0 else { return ([], [], []) }
        var (least, greatest) = (Float.infinity, -Float.infinity)
        for value in distances.values {
            least = min(least, value)
            greatest = max(greatest, value)
        }
        let middle = (Double(greatest) + Double(least)) / 2
        let scale = 1 / ((Double(greatest) - middle + 1e-5) * epsilon)
        let kernel = [Double](unsafeUninitializedCapacity: b * n) { output, initialised in
            distances.values.withUnsafeBufferPointer { d in
                nonisolated(unsafe) let (output, d) = (output, d)
                Parallel.ranges(b, width: 16 * n) { range in
                    for row in range {
                        var nearest = Float.infinity
                        for column in 0..<n { nearest = min(nearest, d[row * n + column]) }
                        for column in 0..<n {
                            output[row * n + column] = exp((Double(nearest) - Double(d[row * n + column])) * scale)
                        }
                    }
                }
            }
            initialised = b * n
        }
        let (u, v) = Scaling.factors(kernel, rows: b, columns: n, iterations: iterations)
        return (kernel, u, v)
    }
}
