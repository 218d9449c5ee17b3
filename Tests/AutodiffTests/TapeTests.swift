import Autodiff
import Numerics
import Testing

/// What a tape does with steps, memory and operations that it does not know.
@Suite struct TapeTests {
    @Test("a step after a reset gives the gradients of a new tape, also for a smaller batch") func reuse() {
        let p = parameters([(3, 4), (1, 3)])
        func gradients(_ tape: Tape, rows: Int) -> [Float] {
            for parameter in p { parameter.clearGradient() }
            let y = tape.linear(tape.constant(target(rows, 4)), tape.parameter(p[0]), bias: tape.parameter(p[1]))
            tape.backward(from: tape.meanSquaredError(y, tape.constant(target(rows, 3))))
            return p.flatMap(\.gradient.values)
        }
        let tape = Tape()
        for rows in [9, 4, 9, 12] {
            tape.reset()
            #expect(gradients(tape, rows: rows) == gradients(Tape(), rows: rows))
        }
    }

    @Test("a step may record other operations than the one before") func otherOperations() {
        let p = parameters([(4, 4)])
        let tape = Tape()
        func gradient(_ tape: Tape, gathers: Bool) -> [Float] {
            tape.reset()
            p[0].clearGradient()
            let x = tape.parameter(p[0])
            let y = gathers ? tape.gather(x, [1, 1, 0, 3]) : tape.productTransposed(x, x)
            tape.backward(from: tape.meanSquaredError(y, tape.constant(target(4, 4))))
            return p[0].gradient.values
        }
        for gathers in [true, false, true] {
            #expect(gradient(tape, gathers: gathers) == gradient(Tape(), gathers: gathers))
        }
    }

    @Test("gradients of two backward passes add up until they are cleared") func sums() {
        let p = parameters([(3, 4)])
        func pass() {
            let tape = Tape()
            tape.backward(from: tape.meanSquaredError(tape.parameter(p[0]), tape.constant(target(3, 4))))
        }
        pass()
        let once = p[0].gradient.values
        pass()
        #expect(p[0].gradient.values == once.map { 2 * $0 })
        p[0].clearGradient()
        #expect(p[0].gradient.values.allSatisfy { $0 == 0 })
        pass()
        #expect(p[0].gradient.values == once)
    }

    @Test("an operation that is defined elsewhere is recorded and differentiated like those of the tape")
    func foreign() {
        checkGradients(parameters([(3, 4), (5, 4)])) { tape, p in
            tape.meanSquaredError(
                tape.productTransposed(tape.cubed(p[0]), tape.cubed(p[1])), tape.constant(target(3, 5)))
        } formula: { p in
            func cubed(_ x: Plain) -> Plain {
                Plain(rows: x.rows, columns: x.columns, x.values.map { $0 * $0 * $0 })
            }
            return cubed(p[0]).timesTransposed(cubed(p[1])).meanSquaredError(Plain(target(3, 5)))
        }
    }

    @Test("a step of the sizes before, or smaller ones, uses the memory of the step before")
    func memory() {
        let p = parameters([(6, 4), (1, 6), (5, 6)])
        let tape = Tape()
        // What the tape would free between steps is taken by these, so that its memory would have to move.
        var taken: [Matrix] = []
        func addresses(rows: Int, copying: Bool) -> [UnsafeRawPointer?] {
            tape.reset()
            for size in [24, 20, 42, 35, 49, 28, 1] { taken.append(Matrix(rows: 1, columns: size)) }
            for parameter in p { parameter.clearGradient() }
            let indices = Array((0..<rows).map { $0 % 5 })
            let x = tape.constant(target(rows, 4))
            let hidden = tape.linear(x, tape.parameter(p[0]), bias: tape.parameter(p[1]), rectify: true)
            let table = tape.parameter(p[2])
            let chosen = tape.gather(table, indices)
            let through = tape.straightThrough(hidden, to: chosen)
            let logits = tape.productTransposed(through, table)
            let square = MatrixView(rows: rows, columns: 6)
            let product = tape.product(
                through, at: square, chosen, at: square, transposeB: true, rows: rows, columns: rows,
                at: MatrixView(rows: rows, columns: rows))
            let odd = copying ? tape.cubed(product) : product
            let total = tape.weightedSum([
                (tape.crossEntropy(logits, targets: indices), 1), (tape.meanSquaredError(odd, odd), 1),
                (tape.meanSquaredError(hidden, chosen), 0.5),
            ])
            tape.backward(from: total)
            let values = [x, hidden, chosen, through, logits, product, odd, total].map { tape.value($0) }
            return (values + p.map(\.gradient)).map { matrix in
                matrix.values.withUnsafeBufferPointer { UnsafeRawPointer($0.baseAddress) }
            }
        }
        let first = addresses(rows: 7, copying: false)
        for rows in [7, 3, 7, 7] { #expect(addresses(rows: rows, copying: false) == first) }
        // The check detects an operation that allocates its value in every step.
        let copied = addresses(rows: 7, copying: true)
        #expect(addresses(rows: 7, copying: true) != copied)
    }
}

// MARK: - An operation that the tape does not know

extension Tape {
    /// x³ of every element: (B, C).
    fileprivate func cubed(_ x: Variable) -> Variable {
        let (operation, output) = record(CubeOperation.self, x)
        operation.count += 1
        output.result = map(value(x)) { $0 * $0 * $0 }
        return Variable(output)
    }
}

private final class CubeOperation: Operation {
    var count = 0

    /// dx = 3 x² · dy
    func backward(_ output: Node) {
        let x = output.inputs[0]
        let slope = map(x.value) { 3 * $0 * $0 }
        let product = zip(slope.values, output.gradient.values).map { $0 * $1 }
        x.addToGradient { $0.add(Matrix(rows: slope.rows, columns: slope.columns, product)) }
    }
}

private func map(_ matrix: Matrix, _ body: (Float) -> Float) -> Matrix {
    Matrix(rows: matrix.rows, columns: matrix.columns, matrix.values.map(body))
}
