extension Matrix {
    /// x ← factor · x. O(elements).
    package mutating func scale(by factor: Float) {
        withMutablePointer { x, count in
            for i in 0..<count { x[i] *= factor }
        }
    }

    /// x ← x + factor · y. O(elements).
    ///
    /// - Precondition: both have the same size.
    package mutating func add(_ other: Matrix, scaledBy factor: Float = 1) {
        precondition(rows == other.rows && columns == other.columns, "sizes differ")
        withMutablePointer { x, count in
            other.withPointer { y, _ in
                Parallel.ranges(count, alignment: 16) { range in
                    for i in range { x[i] += factor * y[i] }
                }
            }
        }
    }

    /// x ← y, keeping the storage of x. O(elements).
    package mutating func copy(_ other: Matrix) {
        resize(rows: other.rows, columns: other.columns)
        withMutablePointer { x, count in
            other.withPointer { y, _ in x.update(from: y, count: count) }
        }
    }

    /// x ← base + (target − base), the value of the straight-through estimator z + sg[e − z] with its rounding. O(elements).
    ///
    /// - Precondition: both have the same size.
    package mutating func straightThrough(_ base: Matrix, to target: Matrix) {
        precondition(base.rows == target.rows && base.columns == target.columns, "sizes differ")
        resize(rows: base.rows, columns: base.columns)
        withMutablePointer { x, count in
            base.withPointer { r, _ in
                target.withPointer { e, _ in
                    for i in 0..<count { x[i] = r[i] + (e[i] - r[i]) }
                }
            }
        }
    }

    /// xᵢ ← xᵢ + b for every row i; with `rectify`, negative results become zero (ReLU). One pass over the elements.
    ///
    /// - Precondition: the bias is (1, columns).
    package mutating func addBias(_ bias: Matrix, rectify: Bool) {
        precondition(bias.rows == 1 && bias.columns == columns, "the bias has another width")
        let (rows, columns) = (rows, columns)
        withMutablePointer { x, _ in
            bias.withPointer { b, _ in
                Parallel.ranges(rows, width: columns) { range in
                    for row in range {
                        let y = x + row * columns
                        if rectify {
                            for j in 0..<columns {
                                let value = y[j] + b[j]
                                y[j] = value < 0 ? 0 : value
                            }
                        } else {
                            for j in 0..<columns { y[j] += b[j] }
                        }
                    }
                }
            }
        }
    }

    /// x ← max(x, 0), element by element (ReLU); NaN stays. O(elements).
    package mutating func rectify() {
        withMutablePointer { x, count in
            for i in 0..<count { x[i] = x[i] < 0 ? 0 : x[i] }
        }
    }

    /// Sets elements to zero where `output` is not positive: turns the gradient by ReLU's output into that by its input.
    /// O(elements).
    ///
    /// - Precondition: both have the same size.
    package mutating func mask(wherePositive output: Matrix) {
        precondition(rows == output.rows && columns == output.columns, "sizes differ")
        withMutablePointer { x, count in
            output.withPointer { y, _ in
                Parallel.ranges(count, alignment: 16) { range in
                    var i = range.lowerBound
                    while i + 8 <= range.upperBound {
                        let kept = Lanes.load(y, i) .> 0
                        Lanes().replacing(with: Lanes.load(x, i), where: kept).store(x, i)
                        i += 8
                    }
                    while i < range.upperBound {
                        if !(y[i] > 0) { x[i] = 0 }
                        i += 1
                    }
                }
            }
        }
    }

    /// x ← x + Σᵢ yᵢ over the rows of `other`: the gradient of a bias. O(elements of `other`).
    ///
    /// - Precondition: this matrix is (1, columns of `other`).
    package mutating func addColumnSums(of other: Matrix) {
        precondition(rows == 1 && columns == other.columns, "the widths differ")
        let width = columns
        withMutablePointer { x, _ in
            other.withPointer { y, _ in
                Parallel.ranges(width, width: other.rows, alignment: 16) { range in
                    for row in 0..<other.rows {
                        let source = y + row * width
                        for j in range { x[j] += source[j] }
                    }
                }
            }
        }
    }

    /// Adds row i of `other`, times `factor`, to row `indices[i]` of this matrix: the gradient of `gather`. O(elements of
    /// `other`).
    ///
    /// - Precondition: there is an index for each row of `other`, every index is a row, and the widths are the same.
    package mutating func scatterAdd(_ other: Matrix, to indices: [Int], scaledBy factor: Float = 1) {
        precondition(other.rows == indices.count && other.columns == columns, "sizes differ")
        let (width, height) = (columns, rows)
        withMutablePointer { x, _ in
            other.withPointer { y, _ in
                for (row, index) in indices.enumerated() {
                    precondition(index >= 0 && index < height, "row out of range")
                    let (target, source) = (x + index * width, y + row * width)
                    for j in 0..<width { target[j] += factor * source[j] }
                }
            }
        }
    }

    /// Subtracts row `indices[i]` of `table` from row i: the residuals after a level of the codebook `table`. O(elements).
    ///
    /// - Precondition: there is an index for each row, every index is a row of `table`, and the widths are the same.
    package mutating func subtract(rows indices: [Int], of table: Matrix) {
        precondition(rows == indices.count && columns == table.columns, "sizes differ")
        let width = columns
        withMutablePointer { x, _ in
            table.withPointer { y, _ in
                for (row, index) in indices.enumerated() {
                    precondition(index >= 0 && index < table.rows, "row out of range")
                    let (target, source) = (x + row * width, y + index * width)
                    for j in 0..<width { target[j] -= source[j] }
                }
            }
        }
    }

    /// xᵢ ← factor · xᵢ / ‖xᵢ‖ for every row i; a row of zeros stays as it is. O(elements).
    package mutating func normaliseRows(factor: Float) {
        let (rows, columns) = (rows, columns)
        withMutablePointer { x, _ in
            for row in 0..<rows {
                let y = x + row * columns
                let length = dot(y, y, columns).squareRoot()
                guard length > 0 else { continue }
                let scale = factor / length
                for j in 0..<columns { y[j] *= scale }
            }
        }
    }
}
