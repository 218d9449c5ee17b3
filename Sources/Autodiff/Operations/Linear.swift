import Numerics

extension Tape {
    /// y = x Wᵀ + b, and with `rectify` its positive part: x (B, in), W (out, in), b (1, out), y (B, out).
    package func linear(_ x: Variable, _ weight: Variable, bias: Variable?, rectify: Bool = false) -> Variable {
        let (operation, output) = record(LinearOperation.self, x, weight, bias)
        operation.rectifies = rectify
        let (input, matrix) = (value(x), value(weight))
        output.result.resize(rows: input.rows, columns: matrix.rows)
        BLAS.multiply(input, matrix, transposeB: true, into: &output.result)
        if let bias {
            output.result.addBias(value(bias), rectify: rectify)
        } else if rectify {
            output.result.rectify()
        }
        return Variable(output)
    }
}

private final class LinearOperation: Operation {
    var rectifies = false

    /// With dy zero where y is not positive, if rectified:
    ///
    ///     dW (out, in) = dyᵀ x,  db (1, out) = Σ rows of dy,  dx (B, in) = dy W
    func backward(_ output: Node) {
        if rectifies { output.gradient.mask(wherePositive: output.value) }
        let gradient = output.gradient
        let (x, weight) = (output.inputs[0], output.inputs[1])
        weight.accumulateGradient { BLAS.multiply(gradient, transposeA: true, x.value, beta: $1, into: &$0) }
        if output.inputs.count > 2 { output.inputs[2].addToGradient { $0.addColumnSums(of: gradient) } }
        x.accumulateGradient { BLAS.multiply(gradient, weight.value, beta: $1, into: &$0) }
    }
}
