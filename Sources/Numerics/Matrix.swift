/// A matrix of Float, row by row; a vector is a matrix of one row.
///
/// A value. Operations of this module that change one take it `inout` and work in place: a matrix that has one owner is
/// never copied, and none of them allocates unless it says so.
package struct Matrix: Sendable, Equatable {
    /// How many rows there are.
    package private(set) var rows: Int
    /// How many elements a row has.
    package private(set) var columns: Int
    /// The elements, row by row; always `rows * columns` of them.
    package private(set) var values: [Float]

    /// All zeros. O(rows · columns).
    package init(rows: Int, columns: Int) {
        precondition(rows >= 0 && columns >= 0, "a matrix has no negative size")
        self.rows = rows
        self.columns = columns
        values = [Float](repeating: 0, count: rows * columns)
    }

    /// These elements, row by row. O(1).
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

    /// An element. O(1).
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

    /// The elements of a row. O(1).
    package func row(_ row: Int) -> ArraySlice<Float> { values[(row * columns)..<((row + 1) * columns)] }

    /// Whether every element is finite. O(elements).
    package var isFinite: Bool { values.allSatisfy(\.isFinite) }

    /// Changes the size and leaves the elements unspecified. Allocates only to grow beyond its greatest size so far.
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

    /// Sets every element. O(elements).
    package mutating func fill(_ value: Float) {
        withMutablePointer { pointer, count in
            Parallel.ranges(count, alignment: 16) { range in
                (pointer + range.lowerBound).update(repeating: value, count: range.count)
            }
        }
    }

    /// Copies an array into the rows from `row` on. O(values).
    ///
    /// - Precondition: the values are whole rows and fit.
    package mutating func setRows(from row: Int, _ source: ArraySlice<Float>) {
        let start = row * columns
        precondition(row >= 0 && start + source.count <= values.count, "rows out of range")
        withMutablePointer { pointer, _ in
            source.withUnsafeBufferPointer { source in
                if let base = source.baseAddress { (pointer + start).update(from: base, count: source.count) }
            }
        }
    }

    /// Copies rows `indices` of `source`, in that order, resizing to hold just them.
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

    /// Mutable elements, for this module only.
    mutating func withMutablePointer<R>(_ body: (UnsafeMutablePointer<Float>, Int) throws -> R) rethrows -> R {
        try values.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else {
                var nothing: Float = 0
                return try body(&nothing, 0)
            }
            return try body(base, buffer.count)
        }
    }

    /// Elements, for this module only.
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
