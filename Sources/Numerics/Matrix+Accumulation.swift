/// Sums of gradients, whose first term overwrites what is there.
extension Matrix {
    /// x ← β x + factor · y, of the same size. β is 0, and x is not read, or 1.
    package mutating func accumulate(_ other: Matrix, scaledBy factor: Float = 1, beta: Float) {
        precondition(rows == other.rows && columns == other.columns, "sizes differ")
        guard beta == 0 else { return add(other, scaledBy: factor) }
        withMutablePointer { x, count in
            other.withPointer { y, _ in
                Parallel.ranges(count, alignment: 16) { range in
                    for i in range { x[i] = factor * y[i] }
                }
            }
        }
    }

    /// Subtracts a number from one element of each row: of row i, from the element in column `columns[i]`, unless that is
    /// negative.
    ///
    /// - Precondition: there is a column for each row.
    package mutating func subtract(_ number: Float, at columns: [Int]) {
        precondition(columns.count == rows, "a column is needed for each row")
        let width = self.columns
        withMutablePointer { x, _ in
            for (row, column) in columns.enumerated() where column >= 0 {
                precondition(column < width, "column out of range")
                x[row * width + column] -= number
            }
        }
    }

    /// x ← β x + factor · (a − b), all of one size: the gradient of a mean squared error. β is 0, and x is not read, or 1.
    package mutating func accumulateDifference(_ a: Matrix, _ b: Matrix, scaledBy factor: Float, beta: Float) {
        guard beta == 0 else { return addDifference(a, b, scaledBy: factor) }
        precondition(rows == a.rows && columns == a.columns && rows == b.rows && columns == b.columns, "sizes differ")
        withMutablePointer { x, count in
            a.withPointer { a, _ in
                b.withPointer { b, _ in
                    Parallel.ranges(count, alignment: 16) { range in
                        for i in range { x[i] = factor * (a[i] - b[i]) }
                    }
                }
            }
        }
    }
}
