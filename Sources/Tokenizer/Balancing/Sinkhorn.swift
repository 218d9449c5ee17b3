import Glibc
package import Numerics

/// Balanced assignment by Sinkhorn and Knopp, in double precision.
package struct Sinkhorn: Sendable {
    /// Sharpness: the smaller, the nearer to the nearest code.
    package var epsilon: Double
    /// How often rows and columns are scaled.
    package var iterations: Int

    package init(epsilon: Double = 0.003, iterations: Int = 50) {
        self.epsilon = epsilon
        self.iterations = iterations
    }

    /// The balanced matrix Q of squared distances (B, N), row by row: after the last step columns sum to B / N.
    ///
    /// Distances are centred over the whole matrix, (d − middle) / (max − middle + 1e-5), and Q = exp(−d / ε) scaled to
    /// rows of 1 and columns of B / N in turn. Computed as diag(u) K diag(v): the first scaling of the rows makes any
    /// factor of a row vanish, so K holds exp(−(d − the row's least) / ε), which neither overflows nor has an empty row.
    /// O(iterations · B · N).
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

    /// The code of each row: the greatest of its row in the balanced matrix, the lowest of equals.
    ///
    /// Where there are fewer rows than codes many of a row are equal but for rounding (a column that one row has to
    /// itself is B / N), so what differs by less than 1e-12 of it counts as equal.
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
