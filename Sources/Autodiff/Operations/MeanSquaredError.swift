import Numerics

extension Tape {
    /// The mean of (a − b)² over all n elements, 0 if there are none: a, b (B, C), result (1, 1).
    package func meanSquaredError(_ a: Variable, _ b: Variable) -> Variable {
        let (_, output) = record(MeanSquaredErrorOperation.self, a, b)
        output.result.resize(rows: 1, columns: 1)
        output.result[0, 0] = value(a).meanSquaredError(value(b))
        return Variable(output)
    }
}

private final class MeanSquaredErrorOperation: Operation {
    /// da = 2 (a − b) / n · dy,  db = −da
    func backward(_ output: Node) {
        let (a, b) = (output.inputs[0], output.inputs[1])
        let (left, right) = (a.value, b.value)
        guard left.rows * left.columns > 0 else { return }
        let factor = 2 * output.gradient[0, 0] / Float(left.rows * left.columns)
        a.accumulateGradient { $0.accumulateDifference(left, right, scaledBy: factor, beta: $1) }
        b.accumulateGradient { $0.accumulateDifference(right, left, scaledBy: factor, beta: $1) }
    }
}
