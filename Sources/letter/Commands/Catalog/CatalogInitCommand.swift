import ArgumentParser
import Catalog
import Core

extension VectorElement: ExpressibleByArgument {}

struct CatalogInitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "init", abstract: "Make an empty catalog.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @Option(help: "Width of the embeddings.")
    var dimension: Int

    @Option(help: "How they are stored: f32 or f16.")
    var dtype: VectorElement = .f32

    @Option(help: "What makes them; recorded, never interpreted.")
    var embeddingModel = ""

    func run() throws {
        try CatalogWriter.create(
            path: directory,
            format: CatalogFormat(dimension: dimension, elementType: dtype, embeddingModel: embeddingModel))
    }
}
