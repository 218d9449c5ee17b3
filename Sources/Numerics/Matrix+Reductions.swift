import Glibc

extension Matrix {
    /// ‖xᵢ‖² of every row i, (rows). O(elements).
    package func squaredNorms() -> [Float] {
        withPointer { x, _ in (0..<rows).map { dot(x + $0 * columns, x + $0 * columns, columns) } }
    }

    /// The mean of (x − y)² over all elements; 0 if there are none. O(elements).
    ///
    /// - Precondition: both have the same size.
    package func meanSquaredError(_ other: Matrix) -> Float {
        precondition(rows == other.rows && columns == other.columns, "sizes differ")
        guard !values.isEmpty else { return 0 }
        return withPointer { x, count in
            other.withPointer { y, _ in
                // The sums of the rows are added in double, so that the error does not grow with the number of rows.
                var total = 0.0
                for row in 0..<rows {
                    total += Double(squaredDistance(x + row * columns, y + row * columns, columns))
                }
                return Float(total / Double(count))
            }
        }
    }

    /// x ← x + factor · (a − b): the gradient of a mean squared error. O(elements).
    ///
    /// - Precondition: all three have the same size.
    package mutating func addDifference(_ a: Matrix, _ b: Matrix, scaledBy factor: Float) {
        precondition(rows == a.rows && columns == a.columns && rows == b.rows && columns == b.columns, "sizes differ")
        withMutablePointer { x, count in
            a.withPointer { a, _ in
                b.withPointer { b, _ in
                    Parallel.ranges(count, alignment: 16) { range in
                        for i in range { x[i] += factor * (a[i] - b[i]) }
                    }
                }
            }
        }
    }

    /// Replaces each row of logits by its softmax, and returns the cross-entropy: the mean of −log softmax[target] over the
    /// rows that have a target. O(elements).
    ///
    /// - Parameters:
    ///   - targets: a column for each row; a row with a negative one is left out of the mean, and its softmax becomes zero.
    ///   - excluded: a column for each row that is left out of the row's softmax, negative for none; nil excludes nothing.
    /// - Returns: the mean (0 if no row has a target), and the number of rows that have one.
    /// - Precondition: there is a target, and with `excluded` an excluded column, for each row; all are columns.
    package mutating func softmaxCrossEntropy(targets: [Int], excluded: [Int]?) -> (loss: Float, counted: Int) {
        precondition(targets.count == rows && (excluded?.count ?? rows) == rows, "a target is needed for each row")
        let (rows, columns) = (rows, columns)
        precondition(targets.allSatisfy { $0 < columns }, "target out of range")
        var losses = [Double](repeating: 0, count: rows)
        withMutablePointer { x, _ in
            losses.withUnsafeMutableBufferPointer { losses in
                nonisolated(unsafe) let losses = losses
                Parallel.ranges(rows, width: 4 * columns) { range in
                    for row in range {
                        let y = x + row * columns
                        guard targets[row] >= 0 else {
                            y.update(repeating: 0, count: columns)
                            continue
                        }
                        if let column = excluded?[row], column >= 0 { y[column] = -.infinity }
                        losses[row] = softmax(y, columns, target: targets[row])
                    }
                }
            }
        }
        let counted = targets.count { $0 >= 0 }
        // Added in the order of the rows, so that the mean does not depend on the number of threads.
        return (counted == 0 ? 0 : Float(losses.reduce(0, +) / Double(counted)), counted)
    }

    /// Squared distances ‖xᵢ‖² + ‖yⱼ‖² − 2⟨xᵢ, yⱼ⟩ of all rows x to all rows y of `other`, into `result`, which becomes
    /// (rows, rows of `other`). By one matrix product, so the last bits of a distance may depend on the other rows.
    ///
    /// - Precondition: the widths are the same.
    package func squaredDistances(to other: Matrix, into result: inout Matrix) {
        precondition(columns == other.columns, "the widths differ")
        result.resize(rows: rows, columns: other.rows)
        BLAS.multiply(self, other, transposeB: true, alpha: -2, into: &result)
        let (own, others) = (squaredNorms(), Matrix(rows: 1, columns: other.rows, other.squaredNorms()))
        let width = other.rows
        result.withMutablePointer { x, _ in
            others.withPointer { norms, _ in
                Parallel.ranges(own.count, width: width) { range in
                    for row in range {
                        let (y, norm) = (x + row * width, own[row])
                        for j in 0..<width { y[j] = (norm + norms[j]) + y[j] }
                    }
                }
            }
        }
    }
}

/// Replaces logits y by softmax(y)ⱼ = exp(yⱼ − max y) / Σₖ exp(yₖ − max y), and returns −log softmax(y)[target].
private func softmax(_ y: UnsafeMutablePointer<Float>, _ count: Int, target: Int) -> Double {
    let (greatest, logit) = (maximum(y, count), y[target])
    var lanes = Lanes()
    var sum: Float = 0
    var j = 0
    while j + 8 <= count {
        let value = exponential(Lanes.load(y, j) - greatest)
        value.store(y, j)
        lanes += value
        j += 8
    }
    while j < count {
        y[j] = expf(y[j] - greatest)
        sum += y[j]
        j += 1
    }
    sum += lanes.sum()
    let scale = 1 / sum
    for j in 0..<count { y[j] *= scale }
    return Double(logf(sum)) + (Double(greatest) - Double(logit))
}

/// The greatest of `count` numbers; NaN is passed over.
private func maximum(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    var greatest = -Float.infinity
    var lanes = Lanes(repeating: -.infinity)
    var i = 0
    while i + 8 <= count {
        let value = Lanes.load(x, i)
        lanes = lanes.replacing(with: value, where: value .> lanes)
        i += 8
    }
    for lane in 0..<8 { greatest = max(greatest, lanes[lane]) }
    while i < count {
        greatest = max(greatest, x[i])
        i += 1
    }
    return greatest
}
