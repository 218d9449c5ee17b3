package import Numerics

/// A value on a tape, what it was computed from, and its gradient.
///
/// A tape uses its nodes again in every step, with their memory. Only operations deal with nodes; models see
/// `Tape.Variable`.
package final class Node {
    /// What the operation computes the value from, in the order in which it was recorded.
    ///
    /// These nodes come earlier on the tape, so references never form a cycle.
    package private(set) var inputs: [Node] = []
    /// The matrix that an operation writes its value to. It keeps its memory from step to step.
    package var result = Matrix()
    /// Whether the value depends on a parameter.
    package private(set) var needsGradient = false
    /// The step of its tape that recorded the node last.
    private(set) var step = 0
    /// How the value is computed; nil for constants and parameters.
    private(set) var operation: (any Operation)?
    private var parameter: Parameter?
    private var sum = GradientSum()

    /// The value.
    package var value: Matrix { parameter?.value ?? result }

    /// The gradient of the value, for `Operation.backward` alone: before the backward pass its elements mean nothing.
    package var gradient: Matrix {
        get { sum.matrix }
        _modify { yield &sum.matrix }
    }

    // MARK: - Recording

    /// Becomes a value without gradient; the caller writes `result`.
    func becomeConstant(step: Int) { begin(step) }

    /// Becomes the value of a parameter.
    func become(_ parameter: Parameter, step: Int) {
        begin(step)
        self.parameter = parameter
        needsGradient = true
    }

    /// Becomes the output of an operation, which is the one of the step before if that was of the same kind.
    func become<O: Operation>(_ kind: O.Type, step: Int) -> O {
        let former = operation as? O
        begin(step)
        let operation = former ?? O()
        self.operation = operation
        return operation
    }

    /// Adds a node to those that the value is computed from.
    func take(_ input: Node) {
        inputs.append(input)
        needsGradient = needsGradient || input.needsGradient
    }

    private func begin(_ step: Int) {
        self.step = step
        inputs.removeAll(keepingCapacity: true)
        operation = nil
        parameter = nil
        needsGradient = false
    }

    // MARK: - Backward pass

    /// Whether something was added to the gradient in this backward pass.
    var hasGradient: Bool { !sum.isEmpty }

    /// Makes the gradient zero. O(1). A parameter's stays: it is the sum of all backward passes since it was cleared.
    func clearGradient() { sum.clear() }

    /// Adds a term to the gradient, if one is needed. `body` gets the gradient, which is zero before the first term.
    package func addToGradient(_ body: (inout Matrix) -> Void) {
        accumulateGradient { gradient, beta in
            if beta == 0 { gradient.fill(0) }
            body(&gradient)
        }
    }

    /// Adds a term to the gradient, if one is needed. `body` gets the gradient and β, the factor of what it holds: 0 for
    /// the first term, which must overwrite every element, and 1 after it.
    package func accumulateGradient(_ body: (inout Matrix, Float) -> Void) {
        guard needsGradient else { return }
        if let parameter {
            parameter.addToGradient(body)
        } else {
            sum.add(rows: result.rows, columns: result.columns, body)
        }
    }
}
