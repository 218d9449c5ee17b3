import ArgumentParser

/// `letter catalog`: makes and changes catalogs without a daemon.
///
/// Plain commands, not asynchronous ones: they block, on the main thread.
struct CatalogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "catalog", abstract: "Create, fill, change and check item catalogs (LMDB).",
        subcommands: [
            CatalogInitCommand.self, CatalogImportCommand.self, CatalogPutCommand.self, CatalogDeleteCommand.self,
            CatalogInfoCommand.self, CatalogVerifyCommand.self, CatalogConfirmCommand.self,
        ])
}
