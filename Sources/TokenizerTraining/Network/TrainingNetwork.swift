package import Autodiff
package import Layers
package import Numerics
package import Tokenizer

/// The tokenizer's parameters, and the tape that its losses are computed on.
package final class TrainingNetwork {
    /// Embedding D → latent d.
    package let encoder: MLP
    /// Latent d → embedding D.
    package let decoder: MLP
    /// Codebooks, one a level, (N, d).
    package let codebooks: [Parameter]
    /// All parameters: the encoder's, the decoder's and the codebooks.
    package let parameters: [Parameter]
    let tape = Tape()

    private init(encoder: MLP, decoder: MLP, codebooks: [Matrix]) {
        self.encoder = encoder
        self.decoder = decoder
        self.codebooks = codebooks.enumerated().map { Parameter("codebook.\($0)", $1) }
        parameters = encoder.parameters + decoder.parameters + self.codebooks
    }

    /// An untrained network: encoder and decoder with random weights (`Linear`), codebooks of zeros.
    package convenience init(inputWidth: Int, settings: TrainingSettings, random: inout Random) {
        let widths = [inputWidth] + settings.hiddenWidths + [settings.latentWidth]
        let encoder = MLP("encoder", widths: widths, random: &random)
        let decoder = MLP("decoder", widths: widths.reversed(), random: &random)
        let book = Matrix(rows: settings.codesPerLevel, columns: settings.latentWidth)
        self.init(
            encoder: encoder, decoder: decoder, codebooks: [Matrix](repeating: book, count: settings.levels))
    }

    /// A network with a model's values.
    ///
    /// - Precondition: the model has a decoder.
    package convenience init(_ model: TokenizerModel) {
        precondition(!model.decoder.isEmpty, "training needs a decoder")
        self.init(
            encoder: MLP("encoder", layers: model.encoder.map { ($0.weight, $0.bias) }),
            decoder: MLP("decoder", layers: model.decoder.map { ($0.weight, $0.bias) }), codebooks: model.codebooks)
    }

    /// A model of the current values.
    ///
    /// - Throws: `tokenizer.bad_model` if a value is not finite.
    package func model(scaling: InputScaling, provenance: ModelProvenance) throws -> TokenizerModel {
        func layers(_ mlp: MLP) -> [Layer] {
            mlp.layers.map { Layer(weight: $0.weight.value, bias: $0.bias.value) }
        }
        return try TokenizerModel(
            encoder: layers(encoder), decoder: layers(decoder), codebooks: codebooks.map(\.value), scaling: scaling,
            provenance: provenance)
    }

    /// Latents (B, d) of scaled embeddings (B, D).
    package func encode(_ semantic: Matrix) -> Matrix {
        tape.reset()
        return tape.value(encoder(tape.constant(semantic), on: tape))
    }

    /// Begins the losses of a batch: clears all gradients and the tape.
    func beginBatch() {
        for parameter in parameters { parameter.clearGradient() }
        tape.reset()
    }
}
