import Tokenizer
package import Numerics

/// The codes of one level, projected on their two principal components (Figure 7 of the paper).
package struct CodeMap: Sendable, Equatable {
    /// The coordinates of each of the N codes along the first and the second component.
    package var points: [(x: Double, y: Double)]
    /// The shares of the codes' variance along the two components.
    package var explained: (first: Double, second: Double)

    /// Projects a codebook (N, d) on the eigenvectors of its covariance with the greatest eigenvalues. They are computed by
    /// Jacobi's method in double precision. O(N · d² + d³).
    ///
    /// The sign of a component is chosen so that its coordinate with the greatest magnitude is positive, so a codebook
    /// always gives the same map.
    package init(_ codebook: Matrix) {
        let (n, d) = (codebook.rows, codebook.columns)
        var centred = codebook.values.map(Double.init)
        for column in 0..<d {
            var mean = 0.0
            for row in 0..<n { mean += centred[row * d + column] / Double(n) }
            for row in 0..<n { centred[row * d + column] -= mean }
        }
        var covariance = [Double](repeating: 0, count: d * d)
        for row in 0..<n {
            for i in 0..<d {
                let value = centred[row * d + i]
                for j in i..<d { covariance[i * d + j] += value * centred[row * d + j] }
            }
        }
        for i in 0..<d { for j in 0..<i { covariance[i * d + j] = covariance[j * d + i] } }
        let eigen = SymmetricEigen(covariance, size: d)
        let total = eigen.values.reduce(0, +)
        let order = (0..<d).sorted { (eigen.values[$0], $1) > (eigen.values[$1], $0) }
        func component(_ number: Int) -> (coordinates: [Double], share: Double) {
            guard number < d else { return ([Double](repeating: 0, count: n), 0) }
            let axis = (0..<d).map { eigen.vectors[$0 * d + order[number]] }
            let greatest = axis.max { abs($0) < abs($1) } ?? 1
            let sign: Double = greatest < 0 ? -1 : 1
            let coordinates = (0..<n).map { row in
                (0..<d).reduce(0.0) { $0 + sign * axis[$1] * centred[row * d + $1] }
            }
            return (coordinates, total > 0 ? max(0, eigen.values[order[number]]) / total : 0)
        }
        let (first, second) = (component(0), component(1))
        points = zip(first.coordinates, second.coordinates).map { (x: $0, y: $1) }
        explained = (first.share, second.share)
    }

    package static func == (left: CodeMap, right: CodeMap) -> Bool {
        left.explained == right.explained && left.points.elementsEqual(right.points, by: ==)
    }
}

/// Eigenvalues and eigenvectors of a symmetric matrix, by cyclic Jacobi rotations in double precision.
struct SymmetricEigen {
    /// Eigenvalues, unsorted.
    private(set) var values: [Double]
    /// Eigenvectors as columns, (size, size), in the order of `values`.
    private(set) var vectors: [Double]

    /// Rotates until the elements outside the diagonal vanish; few sweeps of O(size³) each.
    ///
    /// - Parameter matrix: symmetric, (size, size).
    init(_ matrix: [Double], size n: Int) {
        precondition(matrix.count == n * n, "the matrix is not square")
        var a = matrix
        vectors = [Double](repeating: 0, count: n * n)
        for i in 0..<n { vectors[i * n + i] = 1 }
        let scale = a.reduce(0.0) { $0 + $1 * $1 }
        for _ in 0..<60 {
            var outside = 0.0
            for i in 0..<n { for j in 0..<i { outside += a[i * n + j] * a[i * n + j] } }
            guard outside > 1e-26 * scale else { break }
            for p in 0..<n {
                for q in (p + 1)..<max(n, p + 1) where a[p * n + q] != 0 {
                    // The rotation by φ that makes a[p, q] zero: t = tan φ is the smaller root of t² + 2θt − 1 = 0.
                    let theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q])
                    let t = (theta < 0 ? -1 : 1) / (abs(theta) + (theta * theta + 1).squareRoot())
                    let c = 1 / (t * t + 1).squareRoot()
                    let s = t * c
                    for k in 0..<n {
                        let (x, y) = (a[k * n + p], a[k * n + q])
                        a[k * n + p] = c * x - s * y
                        a[k * n + q] = s * x + c * y
                    }
                    for k in 0..<n {
                        let (x, y) = (a[p * n + k], a[q * n + k])
                        a[p * n + k] = c * x - s * y
                        a[q * n + k] = s * x + c * y
                    }
                    for k in 0..<n {
                        let (x, y) = (vectors[k * n + p], vectors[k * n + q])
                        vectors[k * n + p] = c * x - s * y
                        vectors[k * n + q] = s * x + c * y
                    }
                }
            }
        }
        values = (0..<n).map { a[$0 * n + $0] }
    }
}
