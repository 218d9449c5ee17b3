package import Autodiff
package import Numerics

/// A linear layer y = x Wᵀ + b: x (B, in), W (out, in), b (1, out), y (B, out).
package struct Linear {
    /// Weights (out, in).
    package let weight: Parameter
    /// Biases (1, out).
    package let bias: Parameter

    /// A layer of these values; its parameters are called `name.weight` and `name.bias`.
    package init(_ name: String, weight: Matrix, bias: Matrix) {
        self.weight = Parameter("\(name).weight", weight)
        self.bias = Parameter("\(name).bias", bias)
    }

    /// An untrained layer: normal weights of variance 2 / (in + out) (Glorot and Bengio 2010), biases of zero.
    package init(_ name: String, inputs: Int, outputs: Int, random: inout Random) {
        let deviation = (2 / Double(inputs + outputs)).squareRoot()
        self.init(
            name, weight: random.normalMatrix(rows: outputs, columns: inputs, deviation: deviation),
            bias: Matrix(rows: 1, columns: outputs))
    }

    /// The layer's parameters.
    package var parameters: [Parameter] { [weight, bias] }

    /// Applies the layer, and with `rectify` ReLU after it.
    package func callAsFunction(_ x: Tape.Variable, on tape: Tape, rectify: Bool = false) -> Tape.Variable {
        tape.linear(x, tape.parameter(weight), bias: tape.parameter(bias), rectify: rectify)
    }
}
