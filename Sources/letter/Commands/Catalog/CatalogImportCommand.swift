import ArgumentParser
import Catalog
import Core

struct CatalogImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Fill a catalog from files.",
        discussion: """
            Records that are there already are replaced. Large files are written in several transactions, in key order; \
            an import that stops half-way can be run again.
            """)

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @OptionGroup var sources: CatalogSources

    func run() throws {
        try sources.check()
        let writer = try CatalogWriter(path: directory)
        try sources.feed(into: writer, batch: 8_192)
    }
}
