import ArgumentParser
import Catalog
import Core

/// `letter catalog verify`: reads a whole catalog and reports what is wrong with it.
struct CatalogVerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check the pages of a catalog, and report records that cannot be encoded.",
        discussion: "Reads the whole catalog. Exits with 1 if there are such records, with 69 if the file is damaged.")

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

    func run() throws {
        // Pages first: LMDB reads records, and it does not check the pages that it follows.
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
        // Read last: a bad CF record ends the command, and the embeddings' faults are complete by then.
        var collaborative = 0
        try reader.forEachCollaborativeEmbedding { _, _ in collaborative += 1 }
        try Output.show(report, asJSON: output.json) {
            for fault in report.faults { Terminal.line("\(fault.item.text): \(fault.reason)") }
            Terminal.line(
                "\(report.items) items, \(report.faults.count) that cannot be encoded, \(collaborative) with a CF embedding"
            )
        }
        if !report.faults.isEmpty { throw ExitCode(1) }
    }
}
