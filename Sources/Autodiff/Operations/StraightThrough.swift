import Numerics

extension Tape {
    /// x + sg[target − x]: the value of `target`, the gradient of x. All (B, C).
    package func straightThrough(_ x: Variable, to target: Variable) -> Variable {
        let (_, output) = record(StraightThroughOperation.self, x)
        output.result.straightThrough(value(x), to: value(target))
        return Variable(output)
    }
}

private final class StraightThroughOperation: Operation {
    /// dx = dy
    func backward(_ output: Node) {
        output.inputs[0].accumulateGradient { $0.accumulate(output.gradient, beta: $1) }
    }
}
