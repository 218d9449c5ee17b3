import Numerics

/// A sum of gradients that its first term overwrites, so that nothing has to be cleared between steps.
struct GradientSum {
    /// The sum; its elements mean nothing while `isEmpty`.
    var matrix = Matrix()
    /// Whether nothing was added since it was cleared.
    private(set) var isEmpty = true

    /// Makes the sum zero. O(1).
    mutating func clear() { isEmpty = true }

    /// Adds a term of this size. `body` gets the sum and the factor of what the sum holds: 0 for the first term, whose
    /// elements must be overwritten, and 1 after it.
    mutating func add(rows: Int, columns: Int, _ body: (inout Matrix, Float) -> Void) {
        if isEmpty { matrix.resize(rows: rows, columns: columns) }
        body(&matrix, isEmpty ? 0 : 1)
        isEmpty = false
    }

    /// The sum as a matrix of this size, zeros if nothing was added.
    mutating func total(rows: Int, columns: Int) -> Matrix {
        if isEmpty { add(rows: rows, columns: columns) { sum, _ in sum.fill(0) } }
        return matrix
    }
}
