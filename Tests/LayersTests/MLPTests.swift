import Autodiff
import Layers
import Numerics
import Testing

@Suite struct MLPTests {
    @Test("layers are applied one after the other, with ReLU between them and none after the last") func forward() {
        var random = Random(seed: 4)
        let mlp = MLP("m", widths: [5, 7, 6, 3], random: &random)
        for layer in mlp.layers {
            layer.bias.value = random.normalMatrix(rows: 1, columns: layer.bias.value.columns, deviation: 1)
        }
        let x = random.normalMatrix(rows: 4, columns: 5, deviation: 1)
        let tape = Tape()
        let got = tape.value(mlp(tape.constant(x), on: tape))
        var (negative, cut) = (0, 0)
        for item in 0..<4 {
            var values = x.row(item).map(Double.init)
            for (number, layer) in mlp.layers.enumerated() {
                values = (0..<layer.weight.value.rows).map { row in
                    let y = zip(layer.weight.value.row(row), values)
                        .reduce(Double(layer.bias.value[0, row])) { $0 + Double($1.0) * $1.1 }
                    if number < 2, y < 0 { cut += 1 }
                    return number < 2 ? max(0, y) : y
                }
            }
            for (column, expected) in values.enumerated() {
                #expect(abs(Double(got[item, column]) - expected) < 1e-5)
                if expected < 0 { negative += 1 }
            }
        }
        // Both rules make a difference here.
        #expect(negative > 0 && cut > 0)
    }

    @Test("parameters have stable names, in the order of the layers") func names() {
        var random = Random(seed: 4)
        let mlp = MLP("encoder", widths: [5, 7, 3], random: &random)
        #expect(
            mlp.parameters.map(\.name) == [
                "encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias",
            ])
        let copy = MLP("encoder", layers: mlp.layers.map { ($0.weight.value, $0.bias.value) })
        #expect(copy.parameters.map(\.value) == mlp.parameters.map(\.value))
    }

    @Test("untrained weights have variance 2 / (in + out), biases are zero") func initial() {
        var random = Random(seed: 4)
        let layer = Linear("l", inputs: 300, outputs: 100, random: &random)
        let values = layer.weight.value.values.map(Double.init)
        #expect(layer.weight.value.rows == 100 && layer.weight.value.columns == 300)
        let variance = values.reduce(0) { $0 + $1 * $1 } / 30_000
        #expect(abs(variance / (2.0 / 400) - 1) < 0.05)
        #expect(layer.bias.value == Matrix(rows: 1, columns: 100))
    }
}
