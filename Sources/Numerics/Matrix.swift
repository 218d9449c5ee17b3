/// A matrix of Float, stored row by row; a vector is a matrix of one row.
///
/// It is a value type. Operations that change a matrix work in place and allocate only where their comment says so; Swift
/// copies the elements only if another variable shares them.
package struct Matrix: Sendable, Equatable {
    /// Number of rows.
    package private(set) var rows: Int
    /// Number of elements in a row.
    package private(set) var columns: Int
    /// The elements, row by row: `rows * columns` of them.
    package private(set) var values: [Float]

    /// A matrix of zeros. O(rows · columns).
    ///
    /// - Precondition: neither size is negative.
    package init(rows: Int, columns: Int) {
        precondition(rows >= 0 && columns >= 0, "a matrix cannot have a negative size")
        self.rows = rows
        self.columns = columns
        values = [Float](repeating: 0, count: rows * columns)
    }

    /// A matrix of these elements, row by row. O(1).
    ///
    /// - Precondition: there are `rows * columns` of them.
    package init(rows: Int, columns: Int, _ values: [Float]) {
        precondition(values.count == rows * columns, "\(values.count) values do not fill \(rows) × \(columns)")
        self.rows = rows
        self.columns = columns
        self.values = values
    }

    /// The empty matrix.
    package init() { self.init(rows: 0, columns: 0) }

    /// One element. O(1).
    ///
    /// - Precondition: the row and the column exist.
    package subscript(row: Int, column: Int) -> Float {
        get {
            precondition(column >= 0 && column < columns, "column out of range")
            return values[row * columns + column]
        }
        set {
            precondition(column >= 0 && column < columns, "column out of range")
            values[row * columns + column] = newValue
        }
    }

    /// The elements of one row. O(1).
    ///
    /// - Precondition: the row exists.
    package func row(_ row: Int) -> ArraySlice<Float> { values[(row * columns)..<((row + 1) * columns)] }

    /// Whether every element is finite. O(elements).
    package var isFinite: Bool { values.allSatisfy(\.isFinite) }

    /// Changes the size; the elements are unspecified afterwards. Allocates only if the new size is the largest so far.
    package mutating func resize(rows: Int, columns: Int) {
        let count = rows * columns
        if values.count > count {
            values.removeLast(values.count - count)
        } else if values.count < count {
            values.append(contentsOf: repeatElement(0, count: count - values.count))
        }
        self.rows = rows
        self.columns = columns
    }

    /// Sets every element to one value. O(elements).
    package mutating func fill(_ value: Float) {
        withMutablePointer { pointer, count in
            Parallel.ranges(count, alignment: 16) { range in
                (pointer + range.lowerBound).update(repeating: value, count: range.count)
            }
        }
    }

    /// Copies an array over the rows that begin at `row`. O(elements copied).
    ///
    /// - Precondition: the elements end within the matrix.
    package mutating func setRows(from row: Int, _ source: ArraySlice<Float>) {
        let start = row * columns
        precondition(row >= 0 && start + source.count <= values.count, "rows out of range")
        withMutablePointer { pointer, _ in
            source.withUnsafeBufferPointer { source in
                if let base = source.baseAddress { (pointer + start).update(from: base, count: source.count) }
            }
        }
    }

    /// Becomes the rows `indices` of `source`, in that order: (indices, columns of `source`). O(elements copied).
    ///
    /// - Precondition: every index is a row of `source`.
    package mutating func gather(_ indices: [Int], of source: Matrix) {
        resize(rows: indices.count, columns: source.columns)
        let width = columns
        withMutablePointer { target, _ in
            source.withPointer { origin, _ in
                for (position, index) in indices.enumerated() {
                    precondition(index >= 0 && index < source.rows, "row out of range")
                    (target + position * width).update(from: origin + index * width, count: width)
                }
            }
        }
    }

    /// Calls `body` with the elements and their number; for this module only.
    mutating func withMutablePointer<R>(_ body: (UnsafeMutablePointer<Float>, Int) throws -> R) rethrows -> R {
        try values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else {
                var nothing: Float = 0
                return try body(&nothing, 0)
            }
            return try body(base, buffer.count)
        }
    }

    /// Calls `body` with the elements, read-only, and their number; for this module only.
    func withPointer<R>(_ body: (UnsafePointer<Float>, Int) throws -> R) rethrows -> R {
        try values.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else {
                var nothing: Float = 0
                return try withUnsafePointer(to: &nothing) { try body($0, 0) }
            }
            return try body(base, buffer.count)
        }
    }
}
