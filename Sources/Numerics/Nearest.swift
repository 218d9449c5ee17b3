/// Nearest rows by squared distance.
package enum Nearest {
    /// Finds for each column of `products`, (rows, columns), the row with the least `product + offset`. O(elements).
    ///
    /// With products −2⟨e, r⟩ and offsets ‖e‖² that row is the nearest code e of residual r. The lowest row wins a tie. The
    /// margin is the second least minus the least, which is the difference of the squared distances (infinite if there is
    /// one row). The result for a column depends on that column alone.
    ///
    /// - Precondition: there is an offset for each row, and an element of `codes` and of `margins` for each column.
    package static func inColumns(_ products: Matrix, offsets: [Float], codes: inout [Int], margins: inout [Float]) {
        let (rows, columns) = (products.rows, products.columns)
        precondition(offsets.count == rows && codes.count == columns && margins.count == columns, "sizes differ")
        products.withPointer { x, _ in
            offsets.withUnsafeBufferPointer { offsets in
                var start = 0
                while start + 8 <= columns {
                    var best = Lanes(repeating: .infinity)
                    var second = Lanes(repeating: .infinity)
                    var index = SIMD8<Int32>()
                    for row in 0..<rows {
                        let value = Lanes.load(x, row * columns + start) + offsets[row]
                        let closer = value .< best
                        let worse = value.replacing(with: best, where: closer)
                        second = second.replacing(with: worse, where: worse .< second)
                        best = best.replacing(with: value, where: closer)
                        index = index.replacing(with: Int32(truncatingIfNeeded: row), where: closer)
                    }
                    for lane in 0..<8 {
                        codes[start + lane] = Int(index[lane])
                        margins[start + lane] = second[lane] - best[lane]
                    }
                    start += 8
                }
                for column in start..<columns {
                    var (best, second, index) = (Float.infinity, Float.infinity, 0)
                    for row in 0..<rows {
                        let value = x[row * columns + column] + offsets[row]
                        if value < best {
                            (second, best, index) = (best, value, row)
                        } else if value < second {
                            second = value
                        }
                    }
                    (codes[column], margins[column]) = (index, second - best)
                }
            }
        }
    }

    /// The row of `centres` that is nearest to each row of `points`, and the squared distances to it. The lowest row wins a
    /// tie. O(points · centres · width), by one matrix product.
    ///
    /// - Precondition: the widths are the same.
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

    /// dᵢ ← min(dᵢ, ‖xᵢ − xⱼ‖²) for every row i of `points`, with j = `index`: one step of k-means++. O(elements).
    ///
    /// - Precondition: there is a distance for each point, and `index` is one of the points.
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
    /// ‖xᵢ − y‖² of every row i, (rows), for one vector y. Eight interleaved sums for each row, so the bits depend on the
    /// numbers alone. O(elements); allocates only if `result` does not have a value for each row yet.
    ///
    /// - Precondition: `vector` has as many elements as a row.
    package func squaredDistances(to vector: [Float], into result: inout [Float]) {
        precondition(vector.count == columns, "a row has another width")
        if result.count != rows { result = [Float](repeating: 0, count: rows) }
        withPointer { x, _ in
            vector.withUnsafeBufferPointer { y in
                guard let y = y.baseAddress else { return }
                for row in result.indices { result[row] = squaredDistance(x + row * columns, y, columns) }
            }
        }
    }
}
