internal import ArgumentParser
internal import Tokenizer

struct TokenizerImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a model of a file of weights that another program exported.",
        discussion: """
            Tensors are float32: encoder.N.weight (out, in), encoder.N.bias, codebook.L (codes, width), and decoder.N.… \
            if it is kept. ReLU stands between the layers.
            """)

    @Argument(help: "The file of weights (.safetensors).")
    var file: String

    @Option(help: "Directory of the model to make.")
    var output: String

    @Option(help: "What made the embeddings; recorded, never interpreted.")
    var embeddingModel: String?

    @Flag(help: "Divide each embedding by its length before the encoder, as the exporting program did.")
    var unitLength = false

    func run() throws {
        let scaling = InputScaling(unitLength: unitLength, factor: 1)
        let model = try ModelDirectory.importWeights(file, scaling: scaling, embeddingModel: embeddingModel)
        try ModelDirectory.write(model, to: output)
    }
}
