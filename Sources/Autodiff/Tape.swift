package import Numerics

/// A record of operations, to run backwards: reverse-mode differentiation.
///
/// Values are computed as operations are recorded. `backward` then adds the derivative of one scalar to the gradient of
/// every parameter that it depends on. `reset()` starts the next step and keeps all memory: a step that records the same
/// operations with the same or smaller sizes allocates no matrices.
///
/// ```swift
/// let x = tape.constant(batch)
/// let y = tape.linear(x, tape.parameter(weight), bias: tape.parameter(bias), rectify: true)
/// let loss = tape.meanSquaredError(y, tape.constant(target))
/// tape.backward(from: loss)
/// tape.reset()
/// ```
///
/// The operations are extensions of this class, one file each in `Operations`. A value of more than two axes is a matrix:
/// (B, T, C) is stored as (B · T, C).
///
/// Not thread-safe.
package final class Tape {
    /// A value on a tape; valid until the tape is reset.
    package struct Variable {
        let node: Node
        let step: Int

        /// The value of a node that was just recorded.
        package init(_ node: Node) {
            self.node = node
            step = node.step
        }
    }

    private var nodes: [Node] = []
    private var count = 0
    /// Steps since the tape was made; variables of another step are refused.
    private var step = 1

    package init() {}

    /// Forgets all operations and keeps the memory.
    package func reset() {
        count = 0
        step += 1
    }

    // MARK: - Values

    /// The value of a variable.
    ///
    /// - Precondition: the variable is of this step.
    package func value(_ variable: Variable) -> Matrix { node(variable).value }

    /// The value of a variable of one element.
    package func scalar(_ variable: Variable) -> Float { value(variable)[0, 0] }

    private func node(_ variable: Variable) -> Node {
        precondition(variable.step == step, "the variable is of a step before the reset")
        return variable.node
    }

    // MARK: - Recording

    /// A value without gradient, copied.
    package func constant(_ value: Matrix) -> Variable {
        let node = next()
        node.becomeConstant(step: step)
        node.result.copy(value)
        return Variable(node)
    }

    /// The value of a parameter, not copied.
    package func parameter(_ parameter: Parameter) -> Variable {
        let node = next()
        node.become(parameter, step: step)
        return Variable(node)
    }

    /// The same value without its gradient, copied: sg[x].
    package func stopGradient(_ x: Variable) -> Variable { constant(value(x)) }

    /// Records an operation on one to three inputs, for the files in `Operations`.
    ///
    /// - Returns: the operation, to set what its backward pass needs, and its output, whose `result` is to be set.
    package func record<O: Operation>(
        _ kind: O.Type, _ first: Variable, _ second: Variable? = nil, _ third: Variable? = nil
    ) -> (operation: O, output: Node) {
        let output = next()
        let operation = output.become(kind, step: step)
        output.take(node(first))
        if let second { output.take(node(second)) }
        if let third { output.take(node(third)) }
        return (operation, output)
    }

    /// Records an operation on any number of inputs.
    package func record<O: Operation>(
        _ kind: O.Type, from inputs: some Sequence<Variable>
    ) -> (operation: O, output: Node) {
        let output = next()
        let operation = output.become(kind, step: step)
        for input in inputs { output.take(node(input)) }
        return (operation, output)
    }

    /// The node for the next value.
    private func next() -> Node {
        if count == nodes.count { nodes.append(Node()) }
        count += 1
        return nodes[count - 1]
    }

    // MARK: - Backward pass

    /// Adds the derivative of a scalar to the gradient of every parameter that it depends on.
    ///
    /// - Precondition: the variable has one element.
    package func backward(from scalar: Variable) {
        let last = node(scalar)
        precondition(last.value.rows == 1 && last.value.columns == 1, "a gradient is taken of one number")
        for index in 0..<count { nodes[index].clearGradient() }
        last.addToGradient { $0.fill(1) }
        for index in stride(from: count - 1, through: 0, by: -1) where nodes[index].hasGradient {
            nodes[index].operation?.backward(nodes[index])
        }
    }
}
