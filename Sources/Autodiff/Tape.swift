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
/// Not thread-safe.
package final class Tape {
    /// A value on a tape; good until the tape is reset.
    package struct Variable {
        let index: Int
    }

    /// How a value was made, with what its derivative needs.
    enum Operation {
        case source
        case linear(input: Int, weight: Int, bias: Int?, rectified: Bool)
        case product(left: Int, right: Int)
        case gather(table: Int)
        case weightedSum([(Int, Float)])
        case straightThrough(Int)
        case squaredError(Int, Int)
        case crossEntropy(logits: Int, counted: Int)
    }

    /// A value and its gradient, reused from step to step.
    final class Node {
        var operation = Operation.source
        var needsGradient = false
        /// Whether anything was added to the gradient in this backward pass.
        var hasGradient = false
        var parameter: Parameter?
        var ownValue = Matrix()
        var ownGradient = Matrix()
        /// Softmax, for cross-entropy.
        var scratch = Matrix()
        /// Rows taken, for gather; targets, for cross-entropy.
        var indices: [Int] = []

        var value: Matrix { parameter?.value ?? ownValue }
    }

    private var nodes: [Node] = []
    private var count = 0

    package init() {}

    /// Forgets all operations and keeps the memory.
    package func reset() { count = 0 }

    /// A node to record into. Its value's size is for the operation to set.
    private func record(_ operation: Operation, needsGradient: Bool) -> (Variable, Node) {
        if count == nodes.count { nodes.append(Node()) }
        let node = nodes[count]
        node.operation = operation
        node.needsGradient = needsGradient
        node.hasGradient = false
        node.parameter = nil
        count += 1
        return (Variable(index: count - 1), node)
    }

    func node(_ variable: Variable) -> Node {
        precondition(variable.index < count, "the variable is of a step before the reset")
        return nodes[variable.index]
    }

    /// The value of a variable.
    package func value(_ variable: Variable) -> Matrix { node(variable).value }

    /// The value of a variable of one element.
    package func scalar(_ variable: Variable) -> Float { node(variable).value[0, 0] }

    // MARK: - Sources

    /// A value without gradient, copied.
    package func constant(_ value: Matrix) -> Variable {
        let (variable, node) = record(.source, needsGradient: false)
        node.ownValue.copy(value)
        return variable
    }

    /// Rows of a matrix as a value without gradient.
    package func constant(rows: [Int], of matrix: Matrix) -> Variable {
        let (variable, node) = record(.source, needsGradient: false)
        node.ownValue.gather(rows, of: matrix)
        return variable
    }

    /// A parameter; not copied.
    package func parameter(_ parameter: Parameter) -> Variable {
        let (variable, node) = record(.source, needsGradient: true)
        node.parameter = parameter
        return variable
    }

    /// The same value, and no gradient through it: sg[x].
    package func stopGradient(_ x: Variable) -> Variable { constant(value(x)) }

    // MARK: - Operations

    /// x (B, in) · Wᵀ + b, W (out, in), b (1, out), and with `rectify` its positive part: (B, out).
    package func linear(_ x: Variable, _ weight: Variable, bias: Variable?, rectify: Bool = false) -> Variable {
        let (input, matrix) = (node(x), node(weight))
        let needed = input.needsGradient || matrix.needsGradient || bias.map { node($0).needsGradient } ?? false
        let (variable, output) = record(
            .linear(input: x.index, weight: weight.index, bias: bias?.index, rectified: rectify), needsGradient: needed)
        output.ownValue.resize(rows: input.value.rows, columns: matrix.value.rows)
        BLAS.multiply(input.value, matrix.value, transposeB: true, into: &output.ownValue)
        if let bias {
            output.ownValue.addBias(node(bias).value, rectify: rectify)
        } else if rectify {
            output.ownValue.rectify()
        }
        return variable
    }

    /// a (m, k) · bᵀ, b (n, k): all inner products of rows, (m, n).
    package func productTransposed(_ a: Variable, _ b: Variable) -> Variable {
        let (left, right) = (node(a), node(b))
        let (variable, output) = record(
            .product(left: a.index, right: b.index), needsGradient: left.needsGradient || right.needsGradient)
        output.ownValue.resize(rows: left.value.rows, columns: right.value.rows)
        BLAS.multiply(left.value, right.value, transposeB: true, into: &output.ownValue)
        return variable
    }

    /// Rows `indices` of a table, repeats allowed.
    package func gather(_ table: Variable, _ indices: [Int]) -> Variable {
        let source = node(table)
        let (variable, output) = record(.gather(table: table.index), needsGradient: source.needsGradient)
        output.indices = indices
        output.ownValue.gather(indices, of: source.value)
        return variable
    }

    /// Σ factor · x, all of one size.
    ///
    /// - Precondition: there is at least one term.
    package func weightedSum(_ terms: [(Variable, Float)]) -> Variable {
        let first = node(terms[0].0).value
        let (variable, output) = record(
            .weightedSum(terms.map { ($0.0.index, $0.1) }), needsGradient: terms.contains { node($0.0).needsGradient })
        output.ownValue.resize(rows: first.rows, columns: first.columns)
        output.ownValue.fill(0)
        for (term, factor) in terms { output.ownValue.add(node(term).value, scaledBy: factor) }
        return variable
    }

    /// x + sg[target − x]: the value of `target`, the gradient of x.
    package func straightThrough(_ x: Variable, to target: Variable) -> Variable {
        let source = node(x)
        let (variable, output) = record(.straightThrough(x.index), needsGradient: source.needsGradient)
        output.ownValue.straightThrough(source.value, to: node(target).value)
        return variable
    }

    /// The mean of (a − b)² over all elements: a scalar.
    package func meanSquaredError(_ a: Variable, _ b: Variable) -> Variable {
        let (left, right) = (node(a), node(b))
        let (variable, output) = record(
            .squaredError(a.index, b.index), needsGradient: left.needsGradient || right.needsGradient)
        output.ownValue.resize(rows: 1, columns: 1)
        output.ownValue[0, 0] = left.value.meanSquaredError(right.value)
        return variable
    }

    /// The mean over rows of −log softmax(logits)[target]: a scalar; 0 where no row counts.
    ///
    /// - Parameters:
    ///   - targets: a column for each row; a negative one leaves its row out.
    ///   - excluded: for each row a column left out of its softmax, negative for none.
    package func crossEntropy(_ logits: Variable, targets: [Int], excluded: [Int]? = nil) -> Variable {
        let source = node(logits)
        let (variable, output) = record(.source, needsGradient: source.needsGradient)
        output.scratch.copy(source.value)
        let (loss, counted) = output.scratch.softmaxCrossEntropy(targets: targets, excluded: excluded)
        output.operation = .crossEntropy(logits: logits.index, counted: counted)
        output.indices = targets
        output.ownValue.resize(rows: 1, columns: 1)
        output.ownValue[0, 0] = loss
        return variable
    }

    // MARK: - Backwards

    /// Adds the derivative of a scalar to the gradient of every parameter it depends on.
    ///
    /// - Precondition: the variable has one element.
    package func backward(from scalar: Variable) {
        let last = node(scalar)
        precondition(last.value.rows == 1 && last.value.columns == 1, "a gradient is taken of one number")
        for index in 0..<count { nodes[index].hasGradient = false }
        change(scalar.index) { $0.fill(1) }
        for index in stride(from: scalar.index, through: 0, by: -1) where nodes[index].hasGradient {
            propagate(nodes[index])
        }
    }

    /// Adds to the gradient of a node, if it needs one.
    private func change(_ index: Int, _ body: (inout Matrix) -> Void) {
        accumulate(index) { gradient, counts in
            if !counts { gradient.fill(0) }
            body(&gradient)
        }
    }

    /// Adds a product to the gradient of a node, if it needs one; `body` gets the factor of what is there: 0 or 1.
    private func addProduct(to index: Int, _ body: (inout Matrix, Float) -> Void) {
        accumulate(index) { gradient, counts in body(&gradient, counts ? 1 : 0) }
    }

    private func accumulate(_ index: Int, _ body: (inout Matrix, Bool) -> Void) {
        let node = nodes[index]
        guard node.needsGradient else { return }
        if let parameter = node.parameter { return parameter.addToGradient(body) }
        if !node.hasGradient { node.ownGradient.resize(rows: node.ownValue.rows, columns: node.ownValue.columns) }
        body(&node.ownGradient, node.hasGradient)
        node.hasGradient = true
    }

    private func propagate(_ node: Node) {
        switch node.operation {
        case .source: break
        case .linear(let input, let weight, let bias, let rectified):
            if rectified { node.ownGradient.mask(wherePositive: node.ownValue) }
            let gradient = node.ownGradient
            addProduct(to: weight) {
                BLAS.multiply(gradient, transposeA: true, nodes[input].value, beta: $1, into: &$0)
            }
            if let bias { change(bias) { $0.addColumnSums(of: gradient) } }
            addProduct(to: input) { BLAS.multiply(gradient, nodes[weight].value, beta: $1, into: &$0) }
        case .product(let left, let right):
            let gradient = node.ownGradient
            addProduct(to: left) { BLAS.multiply(gradient, nodes[right].value, beta: $1, into: &$0) }
            addProduct(to: right) { BLAS.multiply(gradient, transposeA: true, nodes[left].value, beta: $1, into: &$0) }
        case .gather(let table):
            change(table) { $0.scatterAdd(node.ownGradient, to: node.indices) }
        case .weightedSum(let terms):
            for (term, factor) in terms { change(term) { $0.add(node.ownGradient, scaledBy: factor) } }
        case .straightThrough(let input):
            change(input) { $0.add(node.ownGradient) }
        case .squaredError(let left, let right):
            let (a, b) = (nodes[left].value, nodes[right].value)
            guard a.rows * a.columns > 0 else { return }
            let factor = 2 * node.ownGradient[0, 0] / Float(a.rows * a.columns)
            change(left) { $0.addDifference(a, b, scaledBy: factor) }
            change(right) { $0.addDifference(b, a, scaledBy: factor) }
        case .crossEntropy(let logits, let counted):
            guard counted > 0 else { return }
            let factor = node.ownGradient[0, 0] / Float(counted)
            change(logits) {
                $0.add(node.scratch, scaledBy: factor)
                for (row, target) in node.indices.enumerated() where target >= 0 { $0[row, target] -= factor }
            }
        }
    }
}
