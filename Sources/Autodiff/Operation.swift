/// One kind of differentiable operation: how its gradient is computed, with what the forward pass keeps for that.
///
/// An operation is one file in `Operations`: an extension of `Tape` that computes the value and records how, and a final
/// class that conforms to this protocol. Nothing else has to know about it.
///
/// ```swift
/// extension Tape {
///     /// x (B, C) times a number: (B, C).
///     package func scaled(_ x: Variable, by factor: Float) -> Variable {
///         let (operation, output) = record(ScaledOperation.self, x)
///         operation.factor = factor
///         output.result.copy(value(x))
///         output.result.scale(by: factor)
///         return Variable(output)
///     }
/// }
///
/// private final class ScaledOperation: Operation {
///     var factor: Float = 1
///
///     /// dx = factor · dy
///     func backward(_ output: Node) {
///         output.inputs[0].accumulateGradient { $0.accumulate(output.gradient, scaledBy: factor, beta: $1) }
///     }
/// }
/// ```
///
/// An object is used again in the next step that records the same kind of operation in the same place, so matrices and
/// arrays that it stores keep their memory. It is called once for each operation and backward pass; loops over elements
/// belong into Numerics.
package protocol Operation: AnyObject {
    init()

    /// Adds to the gradient of each of `output.inputs`, given that of the output.
    ///
    /// It may change `output.gradient` in place: nothing reads it afterwards.
    func backward(_ output: Node)
}
