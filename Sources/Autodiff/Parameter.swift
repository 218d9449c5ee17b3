package import Numerics

/// A matrix that training moves, its gradient, and its moments for AdamW.
///
/// A class, because tapes add to its gradient and optimisers move it in place. Not Sendable: it stays with its trainer.
package final class Parameter {
    /// Stable name, as in model files.
    package let name: String
    /// The values.
    package var value: Matrix
    /// Sum of the gradients since `clearGradient()`, of the same size.
    package var gradient: Matrix {
        if isClear { sum.fill(0) }
        isClear = false
        return sum
    }
    /// The gradient, unless it is clear: then its elements mean nothing.
    private var sum: Matrix
    private var isClear = false
    /// Moments of the gradient.
    package var moments: AdamW.Moments

    /// A parameter with these starting values.
    package init(_ name: String, _ value: Matrix) {
        self.name = name
        self.value = value
        sum = Matrix(rows: value.rows, columns: value.columns)
        moments = AdamW.Moments(rows: value.rows, columns: value.columns)
    }

    /// Makes the gradient zero. O(1): the first to add to it overwrites.
    package func clearGradient() { isClear = true }

    /// Adds to the gradient: `body` gets it and whether what it holds counts (else it must be overwritten).
    func addToGradient(_ body: (inout Matrix, Bool) -> Void) {
        body(&sum, !isClear)
        isClear = false
    }

    /// One step of AdamW with the gradient at hand; `step` counts from 1.
    package func update(_ optimizer: AdamW, step: Int) {
        if isClear { sum.fill(0) }
        isClear = false
        optimizer.update(&value, gradient: sum, moments: &moments, step: step)
    }
}
