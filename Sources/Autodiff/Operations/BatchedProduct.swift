package import Numerics

extension Tape {
    /// Cᵢ = α Aᵢ op(Bᵢ) for every matrix i of two batches, where op transposes or not. Batches are views of values, such
    /// as the heads of an attention layer, side by side in one matrix:
    ///
    /// ```swift
    /// // Scores q kᵀ / √d of H heads, (B · H · T, S), from q (B · T, H · d) and k (B · S, H · d).
    /// let scores = MatrixView.stacked(heads, examples: examples, rows: length, columns: sourceLength)
    /// tape.product(
    ///     q, at: .heads(heads, width: width, examples: examples, rows: length),
    ///     k, at: .heads(heads, width: width, examples: examples, rows: sourceLength), transposeB: true,
    ///     scale: 1 / Float(width).squareRoot(), rows: scores.count * length, columns: sourceLength, at: scores)
    /// ```
    ///
    /// - Parameters:
    ///   - rows: rows of the value that holds the products.
    ///   - columns: its columns.
    ///   - view: where in it the products are.
    /// - Precondition: the views fit their values and each other (`BLAS.multiply`), no two elements of one are the same,
    ///   and the products fill their value.
    package func product(
        _ a: Variable, at viewA: MatrixView, _ b: Variable, at viewB: MatrixView, transposeB: Bool = false,
        scale: Float = 1, rows: Int, columns: Int, at view: MatrixView
    ) -> Variable {
        let (operation, output) = record(BatchedProductOperation.self, a, b)
        operation.views = (viewA, viewB, view)
        operation.transposesB = transposeB
        operation.scale = scale
        output.result.resize(rows: rows, columns: columns)
        precondition(view.fills(output.result), "the products do not fill their value")
        precondition(viewA.isDisjoint && viewB.isDisjoint, "two elements of a view are the same")
        BLAS.multiply(
            value(a), at: viewA, value(b), at: viewB, transposeB: transposeB, alpha: scale, into: &output.result,
            at: view)
        return Variable(output)
    }
}

private final class BatchedProductOperation: Operation {
    var views = (
        a: MatrixView(rows: 0, columns: 0), b: MatrixView(rows: 0, columns: 0), c: MatrixView(rows: 0, columns: 0)
    )
    var transposesB = false
    var scale: Float = 1

    /// For every matrix of the batches:
    ///
    ///     C = α A B:   dA = α dC Bᵀ,  dB = α Aᵀ dC
    ///     C = α A Bᵀ:  dA = α dC B,   dB = α dCᵀ A
    func backward(_ output: Node) {
        let (gradient, scale, transposesB) = (output.gradient, scale, transposesB)
        let (viewA, viewB, viewC) = views
        let (a, b) = (output.inputs[0], output.inputs[1])
        add(to: a, at: viewA) {
            BLAS.multiply(
                gradient, at: viewC, b.value, at: viewB, transposeB: !transposesB, alpha: scale, beta: $1, into: &$0,
                at: viewA)
        }
        add(to: b, at: viewB) {
            if transposesB {
                BLAS.multiply(
                    gradient, at: viewC, transposeA: true, a.value, at: viewA, alpha: scale, beta: $1, into: &$0,
                    at: viewB)
            } else {
                BLAS.multiply(
                    a.value, at: viewA, transposeA: true, gradient, at: viewC, alpha: scale, beta: $1, into: &$0,
                    at: viewB)
            }
        }
    }

    /// Adds products to the elements of a gradient that a view has; the first term makes the others zero.
    private func add(to input: Node, at view: MatrixView, _ body: (inout Matrix, Float) -> Void) {
        input.accumulateGradient { gradient, beta in
            if beta == 0, !view.fills(gradient) {
                gradient.fill(0)
                body(&gradient, 1)
            } else {
                body(&gradient, beta)
            }
        }
    }
}
