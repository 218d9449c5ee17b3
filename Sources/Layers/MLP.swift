package import Autodiff
package import Numerics

/// A multilayer perceptron: linear layers with ReLU between them and nothing after the last.
///
/// This is the form in which layers are trained and evaluated, by products of OpenBLAS. Serving has its own
/// (`FrozenEncoder` on `PackedRows`), because an item's codes must have the same bits on every processor.
package struct MLP {
    /// The layers, the first one first.
    package let layers: [Linear]

    /// Layers of these values; the parameters of layer N are called `name.N.weight` and `name.N.bias`.
    package init(_ name: String, layers: [(weight: Matrix, bias: Matrix)]) {
        self.layers = layers.enumerated().map { Linear("\(name).\($0)", weight: $1.weight, bias: $1.bias) }
    }

    /// Untrained layers between these widths, the input's first and the output's last.
    package init(_ name: String, widths: [Int], random: inout Random) {
        var layers: [Linear] = []
        for (number, (inputs, outputs)) in zip(widths, widths.dropFirst()).enumerated() {
            layers.append(Linear("\(name).\(number)", inputs: inputs, outputs: outputs, random: &random))
        }
        self.layers = layers
    }

    /// The parameters of all layers, the first layer's first.
    package var parameters: [Parameter] { layers.flatMap(\.parameters) }

    /// Applies the layers to x (B, in): (B, out).
    package func callAsFunction(_ x: Tape.Variable, on tape: Tape) -> Tape.Variable {
        var x = x
        for (number, layer) in layers.enumerated() {
            x = layer(x, on: tape, rectify: number + 1 < layers.count)
        }
        return x
    }
}
