import ArgumentParser
import Files
import Tokenizer

/// `letter tokenizer import`: makes a model directory from weights of another program.
struct TokenizerImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make a model from weights that another program exported.",
        discussion: """
            Tensors are float32: encoder.N.weight (out, in), encoder.N.bias, codebook.L (codes, width), and optionally \
            decoder.N.…. There is a ReLU between the layers.

            Also reads the state dict of the published RQ-VAE code: encoder.mlp_layers.N.…, decoder.mlp_layers.N.… and \
            rq.vq_layers.N.embedding.weight, without batch normalisation.
            """)

    @Argument(help: "File of weights (.safetensors).")
    var file: String

    @Option(help: ArgumentHelp("Directory to write the model to; must not exist.", valueName: "dir"))
    var output: String

    @Option(
        help: ArgumentHelp(
            "Name of the model that produces the embeddings; recorded, not interpreted.", valueName: "name"))
    var embeddingModel: String?

    @Flag(help: "Scale each embedding to unit length before the encoder, as the exporting program did.")
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
