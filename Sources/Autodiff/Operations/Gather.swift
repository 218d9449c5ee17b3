import Numerics

extension Tape {
    /// Rows `indices` of a table, repeats allowed: table (N, C), result (B, C).
    ///
    /// - Precondition: every index is a row of the table.
    package func gather(_ table: Variable, _ indices: [Int]) -> Variable {
        let (operation, output) = record(GatherOperation.self, table)
        operation.indices = indices
        output.result.gather(indices, of: value(table))
        return Variable(output)
    }
}

private final class GatherOperation: Operation {
    var indices: [Int] = []

    /// dtable[indices[i]] += dy[i]
    func backward(_ output: Node) {
        output.inputs[0].addToGradient { $0.scatterAdd(output.gradient, to: indices) }
    }
}
