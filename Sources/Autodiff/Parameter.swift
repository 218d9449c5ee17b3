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
    package var gradient: Matrix
    /// Moments of the gradient.
    package var moments: AdamW.Moments

    /// A parameter with these starting values.
    package init(_ name: String, _ value: Matrix) {
        self.name = name
        self.value = value
        gradient = Matrix(rows: value.rows, columns: value.columns)
        moments = AdamW.Moments(rows: value.rows, columns: value.columns)
    }

    /// Sets the gradient to zero.
    package func clearGradient() { gradient.fill(0) }

    /// One step of AdamW with the gradient at hand; `step` counts from 1.
    package func update(_ optimizer: AdamW, step: Int) {
        optimizer.update(&value, gradient: gradient, moments: &moments, step: step)
    }
}
