internal import ArgumentParser
internal import Catalog
internal import Vocabulary

struct CatalogInfo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "info", abstract: "Show what a catalog holds.")

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
        /// Entries of each database that there is.
        var entries: [String: Int]
        /// The change log, where there is one.
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
        /// Whether it tells of the last commit.
        var current: Bool
    }

    func run() async throws {
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
            let model = info.embeddingModel.isEmpty ? "" : ", made by \(info.embeddingModel)"
            table.add("vectors", "\(info.dimension) × \(info.dtype)\(model)")
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

struct CatalogVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read a whole catalog: check its pages, and report records that cannot be encoded.",
        discussion: "Exits with 1 if there are any, with 69 if the file is damaged.")

    @Argument(help: "Folder of the catalog.")
    var directory: String

    @OptionGroup var output: OutputOptions

    private struct Fault: Encodable {
        var item: ItemID
        var reason: String
    }

    private struct Report: Encodable {
        var items: Int
        var faults: [Fault]
    }

    func run() async throws {
        // Pages first: records are read by LMDB, which a damaged page can lead astray.
        _ = try CatalogVerification.verify(path: directory)
        let reader = try CatalogReader(path: directory)
        let progress = ProgressBar(label: "verifying", total: try reader.count())
        var report = Report(items: 0, faults: [])
        try reader.forEachVector { item, _, fault in
            report.items += 1
            if let fault { report.faults.append(Fault(item: item, reason: fault.rawValue)) }
            if report.items % 4_096 == 0 { progress.update(report.items) }
        }
        progress.update(report.items)
        progress.finish()
        // Read last, so that a bad CF record is told after the embeddings' faults.
        let collaborative = try reader.collaborativeEmbeddings().count
        try Output.show(report, asJSON: output.json) {
            for fault in report.faults { Terminal.line("\(fault.item.text): \(fault.reason)") }
            Terminal.line(
                "\(report.items) items, \(report.faults.count) that cannot be encoded, \(collaborative) with a CF embedding"
            )
        }
        if !report.faults.isEmpty { throw ExitCode(1) }
    }
}
