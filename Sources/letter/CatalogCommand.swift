internal import ArgumentParser
internal import Catalog
internal import Vocabulary

/// `letter catalog …`: tools that make and change catalogs without a daemon.
struct CatalogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "catalog", abstract: "Make, fill, change and check item catalogs (LMDB).",
        subcommands: [
            CatalogInit.self, CatalogImport.self, CatalogPut.self, CatalogDelete.self, CatalogInfo.self,
            CatalogVerify.self, CatalogConfirm.self,
        ])
}

extension VectorElement: ExpressibleByArgument {}

struct CatalogInit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "init", abstract: "Make an empty catalog.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @Option(help: "Width of the embeddings.")
    var dimension: Int

    @Option(help: "How they are stored: f32 or f16.")
    var dtype: VectorElement = .f32

    @Option(help: "What makes them; recorded, never interpreted.")
    var embeddingModel = ""

    func run() async throws {
        try CatalogWriter.create(
            path: directory,
            format: CatalogFormat(dimension: dimension, elementType: dtype, embeddingModel: embeddingModel))
    }
}

struct CatalogImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Fill a catalog from files.",
        discussion: """
            Records that are there already are replaced. Large files are written in several transactions, in key order; \
            an import that stops half-way can be run again.
            """)

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @OptionGroup var sources: CatalogSources

    func run() async throws {
        try sources.check()
        let writer = try CatalogWriter(path: directory)
        try sources.feed(into: writer, batch: 8_192)
    }
}

struct CatalogPut: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Add or replace items, all of them in one transaction.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @OptionGroup var sources: CatalogSources

    func run() async throws {
        try sources.check()
        let writer = try CatalogWriter(path: directory)
        try sources.feed(into: writer, batch: nil)
    }
}

struct CatalogDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Remove items, all of them in one transaction.",
        discussion: "If one of them is not there, nothing is removed.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @Argument(help: "Items to remove; - reads them from standard input, one a line.")
    var items: [String]

    func run() async throws {
        let ids = try items.flatMap { $0 == "-" ? try readItems() : [try itemArgument($0)] }
        let writer = try CatalogWriter(path: directory)
        try writer.write { transaction in
            for id in ids where try !transaction.delete(id) {
                throw CommandFailure(
                    "catalog.unknown_item", .notFound, "The catalog has no item \(id.text); nothing was removed.",
                    remedy: "Leave it out, or check its spelling.")
            }
        }
    }

    private func readItems() throws -> [ItemID] {
        var ids: [ItemID] = []
        while let line = readLine() { if !line.isEmpty { ids.append(try itemArgument(line)) } }
        return ids
    }
}
