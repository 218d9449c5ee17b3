import ArgumentParser
import Catalog
import Core

/// `letter catalog …`: tools that make and change catalogs without a daemon.
struct CatalogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "catalog", abstract: "Make, fill, change and check item catalogs (LMDB).",
        subcommands: [
            CatalogInitCommand.self, CatalogImportCommand.self, CatalogPutCommand.self, CatalogDeleteCommand.self,
            CatalogInfoCommand.self,
            CatalogVerifyCommand.self, CatalogConfirmCommand.self,
        ])
}
