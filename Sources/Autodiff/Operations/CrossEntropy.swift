import Numerics

extension Tape {
    /// The mean over rows of −log softmax(logits)[target], 0 where no row counts: logits (B, C), result (1, 1).
    ///
    /// - Parameters:
    ///   - targets: a column for each row; a negative one leaves its row out.
    ///   - excluded: for each row a column left out of its softmax, negative for none.
    package func crossEntropy(_ logits: Variable, targets: [Int], excluded: [Int]? = nil) -> Variable {
        let (operation, output) = record(CrossEntropyOperation.self, logits)
        operation.probabilities.copy(value(logits))
        let (loss, counted) = operation.probabilities.softmaxCrossEntropy(targets: targets, excluded: excluded)
        operation.targets = targets
        operation.counted = counted
        output.result.resize(rows: 1, columns: 1)
        output.result[0, 0] = loss
        return Variable(output)
    }
}

private final class CrossEntropyOperation: Operation {
    /// Softmax of the logits, (B, C); zero in the rows that are left out.
    var probabilities = Matrix()
    var targets: [Int] = []
    /// Rows that count.
    var counted = 0

    /// dlogits[i, j] = (softmax(logits)[i, j] − [j = target i]) / counted · dy
    func backward(_ output: Node) {
        guard counted > 0 else { return }
        let factor = output.gradient[0, 0] / Float(counted)
        output.inputs[0].accumulateGradient { gradient, beta in
            gradient.accumulate(probabilities, scaledBy: factor, beta: beta)
            gradient.subtract(factor, at: targets)
        }
    }
}
