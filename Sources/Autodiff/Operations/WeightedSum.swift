import Numerics

extension Tape {
    /// Σ factor · x over terms of one size: (B, C).
    ///
    /// - Precondition: there is at least one term.
    package func weightedSum(_ terms: [(Variable, Float)]) -> Variable {
        let (operation, output) = record(WeightedSumOperation.self, from: terms.lazy.map(\.0))
        operation.factors.removeAll(keepingCapacity: true)
        let first = value(terms[0].0)
        output.result.resize(rows: first.rows, columns: first.columns)
        output.result.fill(0)
        for (term, factor) in terms {
            operation.factors.append(factor)
            output.result.add(value(term), scaledBy: factor)
        }
        return Variable(output)
    }
}

private final class WeightedSumOperation: Operation {
    var factors: [Float] = []

    /// dx = factor · dy
    func backward(_ output: Node) {
        for (input, factor) in zip(output.inputs, factors) {
            input.accumulateGradient { $0.accumulate(output.gradient, scaledBy: factor, beta: $1) }
        }
    }
}
