/// Which elements of a `Matrix` a batch of equally sized matrices occupies.
///
/// The batch has two axes, because attention has two: examples and heads. Element (r, c) of matrix (i, j) is the element
///
///     offset + i · outer.stride + j · inner.stride + r · stride + c
///
/// of the `Matrix`, whose elements count row by row. The matrices of a batch are numbered i · inner.count + j.
///
/// ```swift
/// // Queries of 8 heads of width 16, for 4 examples of 20 positions, in the first third of a (80, 384) matrix.
/// let queries = MatrixView.heads(8, width: 16, examples: 4, rows: 20, stride: 384)
/// ```
package struct MatrixView: Sendable, Equatable {
    /// One axis of a batch.
    package struct Axis: Sendable, Equatable {
        /// Matrices along the axis.
        package var count: Int
        /// Elements from one matrix to the next.
        package var stride: Int

        package init(count: Int, stride: Int) {
            self.count = count
            self.stride = stride
        }

        /// An axis of one matrix.
        package static let single = Axis(count: 1, stride: 0)
    }

    /// Rows of each matrix.
    package let rows: Int
    /// Columns of each matrix; the elements of a row are next to each other.
    package let columns: Int
    /// Elements from a row to the next.
    package let stride: Int
    /// The first element of the first matrix.
    package let offset: Int
    /// The first axis of the batch: the examples.
    package let outer: Axis
    /// The second axis of the batch: the heads of an example.
    package let inner: Axis

    /// A batch of matrices.
    ///
    /// - Parameter stride: elements from a row to the next; nil if the rows follow each other without a gap.
    /// - Precondition: no size or stride is negative, and `stride` is at least `columns`.
    package init(
        rows: Int, columns: Int, stride: Int? = nil, offset: Int = 0, outer: Axis = .single, inner: Axis = .single
    ) {
        self.rows = rows
        self.columns = columns
        self.stride = stride ?? columns
        self.offset = offset
        self.outer = outer
        self.inner = inner
        precondition(
            min(rows, columns, offset, outer.count, outer.stride, inner.count, inner.stride) >= 0
                && self.stride >= columns, "a view has no negative size, and its rows do not overlap")
    }

    /// All of a matrix, as a batch of one.
    package init(_ matrix: Matrix) { self.init(rows: matrix.rows, columns: matrix.columns) }

    /// The heads of every example where the rows of an example follow each other and a row has the heads side by side:
    /// (B · T, H · d), or some columns of a wider matrix.
    ///
    /// - Parameters:
    ///   - heads: H.
    ///   - width: columns d of a head.
    ///   - examples: B.
    ///   - rows: rows T of an example.
    ///   - stride: columns of the whole matrix; nil for H · d.
    ///   - firstColumn: the column of the first head's first element.
    package static func heads(
        _ heads: Int, width: Int, examples: Int, rows: Int, stride: Int? = nil, firstColumn: Int = 0
    ) -> MatrixView {
        let stride = stride ?? heads * width
        return MatrixView(
            rows: rows, columns: width, stride: stride, offset: firstColumn,
            outer: Axis(count: examples, stride: rows * stride), inner: Axis(count: heads, stride: width))
    }

    /// The matrices of every example and head one below the other: (B · H · rows, columns).
    package static func stacked(_ heads: Int, examples: Int, rows: Int, columns: Int) -> MatrixView {
        MatrixView(
            rows: rows, columns: columns, outer: Axis(count: examples, stride: heads * rows * columns),
            inner: Axis(count: heads, stride: rows * columns))
    }

    /// Matrices in the batch.
    package var count: Int { outer.count * inner.count }

    /// Elements in the batch.
    package var elements: Int { count * rows * columns }

    /// The first element of a matrix of the batch.
    func start(_ index: Int) -> Int {
        let (i, j) = index.quotientAndRemainder(dividingBy: inner.count)
        return offset + i * outer.stride + j * inner.stride
    }

    /// Whether every element is one of this matrix's. O(1).
    package func isWithin(_ matrix: Matrix) -> Bool {
        guard elements > 0 else { return true }
        return start(count - 1) + (rows - 1) * stride + columns <= matrix.values.count
    }

    /// Whether the view has every element of this matrix, each once. O(1).
    package func fills(_ matrix: Matrix) -> Bool {
        elements == matrix.values.count && isDisjoint && isWithin(matrix)
    }

    /// Whether no two elements of the batch are the same element of the matrix. O(1).
    ///
    /// Sufficient for every nesting of the axes, and so for every batch that lies in a matrix without interleaving
    /// elements: along each axis, ordered by stride, the next matrix or row begins after the end of the one before.
    package var isDisjoint: Bool {
        // Three axes in the order of their strides, without an array.
        var (a, b, c) = (Axis(count: rows, stride: stride), inner, outer)
        if b.stride < a.stride { swap(&a, &b) }
        if c.stride < b.stride { swap(&b, &c) }
        if b.stride < a.stride { swap(&a, &b) }
        var span = columns
        func follows(_ axis: Axis) -> Bool {
            guard axis.count > 1 else { return true }
            guard axis.stride >= span else { return false }
            span += (axis.count - 1) * axis.stride
            return true
        }
        return follows(a) && follows(b) && follows(c)
    }
}
