package import Autodiff
import Numerics

/// AdamW on a fixed list of parameters; owns the moments of their gradients.
///
/// Step t of each parameter x with gradient g and learning rate η, from moments m and v that start at zero:
///
///     m ← β₁ m + (1 − β₁) g
///     v ← β₂ v + (1 − β₂) g²
///     x ← (1 − η λ) x − η m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)
///
/// Not thread-safe; elementwise, so the bits do not depend on the number of threads.
package final class AdamWOptimizer {
    /// The parameters that it changes.
    package let parameters: [Parameter]
    /// Steps so far.
    package private(set) var steps = 0
    private let settings: AdamW
    /// Running mean m of each parameter's gradient.
    private var first: [Matrix]
    /// Running mean v of its square.
    private var second: [Matrix]

    /// An optimizer that has made no step. Allocates two matrices a parameter.
    package init(_ settings: AdamW, _ parameters: [Parameter]) {
        self.settings = settings
        self.parameters = parameters
        first = parameters.map { Matrix(rows: $0.value.rows, columns: $0.value.columns) }
        second = first
    }

    /// Changes every parameter by its gradient, in place. O(elements).
    package func step(learningRate: Double) {
        steps += 1
        let step = AdamStep(
            number: steps, learningRate: learningRate, weightDecay: settings.weightDecay, beta1: settings.beta1,
            beta2: settings.beta2, epsilon: settings.epsilon)
        for (index, parameter) in parameters.enumerated() {
            parameter.value.move(
                by: step, gradient: parameter.gradient, first: &first[index], second: &second[index])
        }
    }

    /// Makes the moments of a parameter zero, for a value that was replaced: past gradients do not apply to the new one.
    /// Bias correction continues with the optimizer's number of steps.
    ///
    /// - Parameter row: the row whose moments become zero; nil for all rows.
    /// - Precondition: the parameter is one of the optimizer's.
    package func forget(_ parameter: Parameter, row: Int? = nil) {
        guard let index = parameters.firstIndex(where: { $0 === parameter }) else {
            preconditionFailure("\(parameter.name) is not one of the optimizer's parameters")
        }
        guard let row else {
            first[index].fill(0)
            second[index].fill(0)
            return
        }
        let zeros = [Float](repeating: 0, count: parameter.value.columns)[...]
        first[index].setRows(from: row, zeros)
        second[index].setRows(from: row, zeros)
    }

    // MARK: - Checkpoints

    /// Adds steps and moments to a checkpoint, as `optimizer`, `first.NAME` and `second.NAME`.
    package func save(to checkpoint: inout Checkpoint) throws {
        try checkpoint.set("optimizer", steps)
        for (index, parameter) in parameters.enumerated() {
            checkpoint.set("first.\(parameter.name)", first[index])
            checkpoint.set("second.\(parameter.name)", second[index])
        }
    }

    /// Continues with the steps and moments of a checkpoint.
    ///
    /// - Throws: `CheckpointProblem` if it lacks some of them or has them in other sizes.
    package func restore(from checkpoint: Checkpoint) throws {
        steps = try checkpoint.value("optimizer", as: Int.self)
        guard steps >= 0 else { throw CheckpointProblem("'optimizer' is \(steps)") }
        first = try parameters.map { try checkpoint.matrix("first.\($0.name)", like: $0.value) }
        second = try parameters.map { try checkpoint.matrix("second.\($0.name)", like: $0.value) }
    }
}
