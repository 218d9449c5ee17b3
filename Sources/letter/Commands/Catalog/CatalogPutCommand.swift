import ArgumentParser
import Catalog

/// `letter catalog put`: adds or replaces items.
struct CatalogPutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Add or replace items in one transaction.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @OptionGroup var sources: CatalogSources

    func run() throws {
        try sources.check()
        let writer = try CatalogWriter(path: directory)
        try sources.feed(into: writer, batch: nil)
    }
}
