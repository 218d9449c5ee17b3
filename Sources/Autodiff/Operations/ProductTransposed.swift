import Numerics

extension Tape {
    /// a bᵀ, all inner products of rows: a (m, k), b (n, k), result (m, n).
    package func productTransposed(_ a: Variable, _ b: Variable) -> Variable {
        let (_, output) = record(ProductTransposedOperation.self, a, b)
        let (left, right) = (value(a), value(b))
        output.result.resize(rows: left.rows, columns: right.rows)
        BLAS.multiply(left, right, transposeB: true, into: &output.result)
        return Variable(output)
    }
}

private final class ProductTransposedOperation: Operation {
    /// da (m, k) = dy b,  db (n, k) = dyᵀ a
    func backward(_ output: Node) {
        let gradient = output.gradient
        let (a, b) = (output.inputs[0], output.inputs[1])
        a.accumulateGradient { BLAS.multiply(gradient, b.value, beta: $1, into: &$0) }
        b.accumulateGradient { BLAS.multiply(gradient, transposeA: true, a.value, beta: $1, into: &$0) }
    }
}
