import ArgumentParser
import Catalog
import Core

/// `letter catalog info`: shows the format and size of a catalog.
struct CatalogInfoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show the format and size of a catalog.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @OptionGroup var output: OutputOptions

    /// What is printed.
    private struct Info: Encodable {
        var path: String
        var format: String
        var dimension: Int
        var dtype: String
        var embeddingModel: String
        var transaction: UInt64
        /// Number of entries in each database that exists.
        var entries: [String: Int]
        /// The change log, if there is one.
        var log: Log?

        enum CodingKeys: String, CodingKey {
            case path, format, dimension, dtype, transaction, entries, log
            case embeddingModel = "embedding_model"
        }
    }

    private struct Log: Encodable {
        var epoch: String
        var first: UInt64
        var next: UInt64
        var bytes: UInt64
        var transaction: UInt64
        /// Whether it includes the last commit.
        var current: Bool
    }

    func run() throws {
        let reader = try CatalogReader(path: directory)
        let counts = try reader.counts()
        let log = try reader.changeLog().map {
            Log(
                epoch: $0.epoch, first: $0.first, next: $0.next, bytes: $0.bytes, transaction: $0.transaction,
                current: $0.isCurrent)
        }
        let info = Info(
            path: directory, format: CatalogFormat.name, dimension: reader.format.dimension,
            dtype: reader.format.elementType.rawValue, embeddingModel: reader.format.embeddingModel,
            transaction: try reader.version().transaction,
            entries: Dictionary(uniqueKeysWithValues: counts.map { ($0.database, $0.entries) }), log: log)
        try Output.show(info, asJSON: output.json) {
            var table = Table(.text("CATALOG"), .text(directory))
            table.add("format", info.format)
            let model = info.embeddingModel.isEmpty ? "" : ", from \(info.embeddingModel)"
            table.add("embeddings", "\(info.dimension) × \(info.dtype)\(model)")
            table.add("transaction", "\(info.transaction)")
            for count in counts { table.add(count.database, "\(count.entries)") }
            if let log {
                let last = log.current ? "" : "; a plain writer has committed since transaction \(log.transaction)"
                table.add("change log", "\(log.next - log.first) entries, \(log.bytes) bytes\(last)")
            } else {
                table.add("change log", "none")
            }
            table.print()
        }
    }
}
