import ArgumentParser
import Catalog

extension VectorElement: ExpressibleByArgument {}

/// `letter catalog init`: creates an empty catalog.
struct CatalogInitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "init", abstract: "Create an empty catalog.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @Option(help: ArgumentHelp("Dimension of the embeddings.", valueName: "n"))
    var dimension: Int

    @Option(help: ArgumentHelp("Element type of the stored embeddings: f32 or f16.", valueName: "type"))
    var dtype: VectorElement = .f32

    @Option(
        help: ArgumentHelp(
            "Name of the model that produces the embeddings; recorded, not interpreted.", valueName: "name"))
    var embeddingModel = ""

    func run() throws {
        try CatalogWriter.create(
            path: directory,
            format: CatalogFormat(dimension: dimension, elementType: dtype, embeddingModel: embeddingModel))
    }
}
