import Autodiff
import Numerics
import Testing

/// A matrix in double, for formulas written out again.
struct Plain {
    let rows: Int
    let columns: Int
    var values: [Double]

    init(rows: Int, columns: Int, _ values: [Double]) {
        (self.rows, self.columns, self.values) = (rows, columns, values)
    }

    init(_ matrix: Matrix) {
        self.init(rows: matrix.rows, columns: matrix.columns, matrix.values.map(Double.init))
    }

    init(rows: Int, columns: Int, _ element: (Int, Int) -> Double) {
        self.init(
            rows: rows, columns: columns, (0..<rows * columns).map { element($0 / columns, $0 % columns) })
    }

    subscript(row: Int, column: Int) -> Double { values[row * columns + column] }

    /// This matrix times another one's transpose.
    func timesTransposed(_ other: Plain) -> Plain {
        Plain(rows: rows, columns: other.rows) { row, column in
            (0..<columns).reduce(0) { $0 + self[row, $1] * other[column, $1] }
        }
    }

    func meanSquaredError(_ other: Plain) -> Double {
        zip(values, other.values).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(values.count)
    }
}

/// Compares a scalar on a tape, and every gradient of it, with a formula in double and its central differences.
///
/// - Parameters:
///   - build: the scalar of the parameters, on a tape.
///   - formula: the same in double.
func checkGradients(
    _ parameters: [Parameter], _ build: (Tape, [Tape.Variable]) -> Tape.Variable, formula: ([Plain]) -> Double
) {
    let tape = Tape()
    for parameter in parameters { parameter.clearGradient() }
    let scalar = build(tape, parameters.map(tape.parameter))
    tape.backward(from: scalar)
    var values = parameters.map { Plain($0.value) }
    let expected = formula(values)
    #expect(abs(Double(tape.scalar(scalar)) - expected) <= 1e-5 * max(1, abs(expected)))
    let step = 1e-5
    for (index, parameter) in parameters.enumerated() {
        var greatest = 0.0
        for element in values[index].values.indices {
            let before = values[index].values[element]
            func loss(_ value: Double) -> Double {
                values[index].values[element] = value
                defer { values[index].values[element] = before }
                return formula(values)
            }
            let numeric = (loss(before + step) - loss(before - step)) / (2 * step)
            let analytic = Double(parameter.gradient.values[element])
            #expect(
                abs(numeric - analytic) <= 1e-4 * max(0.02, abs(numeric)),
                "\(parameter.name)[\(element)]: \(analytic), differences give \(numeric)")
            greatest = max(greatest, abs(numeric))
        }
        // Without this a tape that gives zeros for a constant loss would pass.
        #expect(greatest > 1e-3, "\(parameter.name) has no influence")
    }
}

/// Parameters of these shapes with normal values.
func parameters(_ shapes: [(Int, Int)], seed: UInt64 = 3) -> [Parameter] {
    var random = Random(seed: seed)
    return shapes.enumerated().map { number, shape in
        Parameter("p\(number)", random.normalMatrix(rows: shape.0, columns: shape.1, deviation: 1))
    }
}

/// Something for outputs to be compared with, so that every element matters.
func target(_ rows: Int, _ columns: Int) -> Matrix {
    var random = Random(seed: 77)
    return random.normalMatrix(rows: rows, columns: columns, deviation: 1)
}
