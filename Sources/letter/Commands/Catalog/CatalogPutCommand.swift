import ArgumentParser
import Catalog
import Core

struct CatalogPutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Add or replace items, all of them in one transaction.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @OptionGroup var sources: CatalogSources

    func run() throws {
        try sources.check()
        let writer = try CatalogWriter(path: directory)
        try sources.feed(into: writer, batch: nil)
    }
}
