extension Matrix {
    /// x ← factor · x
    package mutating func scale(by factor: Float) {
        withMutablePointer { x, count in
            for i in 0..<count { x[i] *= factor }
        }
    }

    /// x ← x + factor · y, of the same size.
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

    /// Makes it a copy of another, in its own storage.
    package mutating func copy(_ other: Matrix) {
        resize(rows: other.rows, columns: other.columns)
        withMutablePointer { x, count in
            other.withPointer { y, _ in x.update(from: y, count: count) }
        }
    }

    /// x ← base + (target − base), rounded as the straight-through estimator's forward pass rounds.
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

    /// Adds a bias to every row, and with `rectify` replaces what is negative by zero. One pass.
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

    /// Replaces what is negative by zero.
    package mutating func rectify() {
        withMutablePointer { x, count in
            for i in 0..<count { x[i] = x[i] < 0 ? 0 : x[i] }
        }
    }

    /// Sets to zero where `output`, of the same size, is not positive: the gradient of ReLU.
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

    /// Adds the sums of another's columns to this one row: the gradient of a bias.
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

    /// Adds each row of `other`, times `factor`, to the row of this one that `indices` names: gather's gradient.
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

    /// Subtracts from each row the row of `table` that `indices` names: the residuals a level leaves.
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

    /// Divides each row by its Euclidean length, then multiplies by `factor`; a row of zeros stays.
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
