package import Numerics

/// A matrix that training changes, and its gradient.
///
/// A class, because tapes add to its gradient and optimizers change its value in place. Not Sendable: it stays with its
/// trainer.
package final class Parameter {
    /// Stable name, as in model files and checkpoints.
    package let name: String
    /// The values.
    package var value: Matrix
    private var sum = GradientSum()

    /// A parameter with these starting values. Its gradient takes memory when it is first needed.
    package init(_ name: String, _ value: Matrix) {
        self.name = name
        self.value = value
    }

    /// Sum of the gradients since `clearGradient()`, of the value's size.
    package var gradient: Matrix { sum.total(rows: value.rows, columns: value.columns) }

    /// Makes the gradient zero. O(1): the first term that is added overwrites what is there.
    package func clearGradient() { sum.clear() }

    /// Adds a term to the gradient; see `GradientSum.add`.
    func addToGradient(_ body: (inout Matrix, Float) -> Void) {
        sum.add(rows: value.rows, columns: value.columns, body)
    }
}
