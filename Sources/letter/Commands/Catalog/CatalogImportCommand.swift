import ArgumentParser
import Catalog

/// `letter catalog import`: fills a catalog from files.
struct CatalogImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Fill a catalog from files.",
        discussion: """
            Replaces records that exist already. Writes large files in several transactions, in key order; an import that \
            was interrupted can be run again.
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
