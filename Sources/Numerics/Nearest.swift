/// Nearest rows by squared distance.
package enum Nearest {
    /// For each column of `products` finds the row of least `product + offset`.
    ///
    /// With products −2⟨e, r⟩ and offsets ‖e‖² that is the nearest code of each residual. The lowest row wins a tie. The
    /// margin is the second least minus the least: the gap of squared distances (infinite where there is one row).
    /// A column's result depends on that column alone.
    ///
    /// - Precondition: there is an offset for each row, and a place in `codes` and `margins` for each column.
    package static func inColumns(_ products: Matrix, offsets: [Float], codes: inout [Int], margins: inout [Float]) {
        let (rows, columns) = (products.rows, products.columns)
        precondition(offsets.count == rows && codes.count == columns && margins.count == columns, "sizes differ")
        products.withPointer { x, _ in
            offsets.withUnsafeBufferPointer { offsets in
                var start = 0
                while start + 8 <= columns {
                    var best = Lanes(repeating: .infinity)
                    var second = Lanes(repeating: .infinity)
                    var place = SIMD8<Int32>()
                    for row in 0..<rows {
                        let value = Lanes.load(x, row * columns + start) + offsets[row]
                        let closer = value .< best
                        let worse = value.replacing(with: best, where: closer)
                        second = second.replacing(with: worse, where: worse .< second)
                        best = best.replacing(with: value, where: closer)
                        place = place.replacing(with: Int32(truncatingIfNeeded: row), where: closer)
                    }
                    for lane in 0..<8 {
                        codes[start + lane] = Int(place[lane])
                        margins[start + lane] = second[lane] - best[lane]
                    }
                    start += 8
                }
                for column in start..<columns {
                    var (best, second, place) = (Float.infinity, Float.infinity, 0)
                    for row in 0..<rows {
                        let value = x[row * columns + column] + offsets[row]
                        if value < best {
                            (second, best, place) = (best, value, row)
                        } else if value < second {
                            second = value
                        }
                    }
                    (codes[column], margins[column]) = (place, second - best)
                }
            }
        }
    }

    /// The row of `centres` nearest to each row of `points`, and the squared distances. The lowest wins a tie.
    package static func rows(of centres: Matrix, to points: Matrix) -> (indices: [Int], distances: [Float]) {
        var distances = Matrix()
        points.squaredDistances(to: centres, into: &distances)
        var indices = [Int](repeating: 0, count: points.rows)
        var shortest = [Float](repeating: .infinity, count: points.rows)
        distances.withPointer { x, _ in
            for row in 0..<points.rows {
                for column in 0..<centres.rows where x[row * centres.rows + column] < shortest[row] {
                    shortest[row] = x[row * centres.rows + column]
                    indices[row] = column
                }
            }
        }
        return (indices, shortest)
    }

    /// Lowers each distance to the squared distance from its point to row `index` of `points`: a step of k-means++.
    package static func lower(_ distances: inout [Float], by index: Int, of points: Matrix) {
        precondition(distances.count == points.rows && index < points.rows, "sizes differ")
        let width = points.columns
        points.withPointer { x, _ in
            for row in 0..<points.rows {
                distances[row] = min(distances[row], squaredDistance(x + row * width, x + index * width, width))
            }
        }
    }
}

extension Matrix {
    /// ‖row − vector‖² of every row, (rows). Sums are taken eight lanes at a time, so the bits depend on the numbers
    /// alone. O(rows · columns).
    ///
    /// - Precondition: `vector` has as many elements as a row.
    package func squaredDistances(to vector: [Float], into result: inout [Float]) {
        precondition(vector.count == columns, "a row has another width")
        if result.count != rows { result = [Float](repeating: 0, count: rows) }
        let columns = columns
        withPointer { rows, _ in
            vector.withUnsafeBufferPointer { vector in
                result.withUnsafeMutableBufferPointer { result in
                    guard let other = vector.baseAddress else { return }
                    for index in result.indices {
                        let row = rows + index * columns
                        var lanes = Lanes()
                        var column = 0
                        while column + 8 <= columns {
                            let difference = Lanes.load(row, column) - Lanes.load(other, column)
                            lanes += difference * difference
                            column += 8
                        }
                        var sum = lanes.sum()
                        while column < columns {
                            let difference = row[column] - other[column]
                            sum += difference * difference
                            column += 1
                        }
                        result[index] = sum
                    }
                }
            }
        }
    }
}
