import ArgumentParser
import Catalog
import Core

/// `letter catalog delete`: removes items.
struct CatalogDeleteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Remove items in one transaction.",
        discussion: "If one of them is not in the catalog, nothing is removed.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @Argument(help: "Ids of the items to remove; - reads them from standard input, one per line.")
    var items: [String]

    func run() throws {
        let ids = try items.flatMap { $0 == "-" ? try readItems() : [try itemArgument($0)] }
        let writer = try CatalogWriter(path: directory)
        try writer.write { transaction in
            for id in ids where try !transaction.delete(id) {
                throw CatalogCommandError(
                    .unknownItem, "The catalog has no item \(id.text); nothing was removed.",
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
