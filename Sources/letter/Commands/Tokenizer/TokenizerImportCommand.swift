import ArgumentParser
import Files
import Tokenizer

struct TokenizerImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a model of a file of weights that another program exported.",
        discussion: """
            Tensors are float32: encoder.N.weight (out, in), encoder.N.bias, codebook.L (codes, width), and decoder.N.… \
            if it is kept. ReLU stands between the layers.

            The state dict of the published RQ-VAE code is read too: encoder.mlp_layers.N.…, decoder.mlp_layers.N.… and \
            rq.vq_layers.N.embedding.weight, without batch normalisation.
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
        let weights = try Safetensors(path: file)
        guard PublishedImport.recognises(weights) else {
            let model = try ModelDirectory.importWeights(file, scaling: scaling, embeddingModel: embeddingModel)
            return try ModelDirectory.write(model, to: output)
        }
        let name = file.split(separator: "/").last.map(String.init) ?? file
        let provenance = ModelProvenance(
            embeddingModel: embeddingModel, createdBy: "letter, imported from \(name), a published RQ-VAE")
        try ModelDirectory.write(
            try PublishedImport.model(weights, scaling: scaling, provenance: provenance), to: output)
    }
}
