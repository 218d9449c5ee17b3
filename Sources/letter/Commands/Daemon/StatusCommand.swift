import ArgumentParser
import ControlAPI
import ControlClient
import Core

/// `letter status`: the status of the daemon and its active generation.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the status of the daemon and its active generation.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let status = try await connection.client().status()
        try Output.show(status, asJSON: output.json) { Self.print(status) }
    }

    private static func print(_ status: Status) {
        var table = Table(.text("STATUS"), .text(status.state.rawValue))
        table.add("generation", Output.number(status.generation))
        table.add("items", "\(status.items)")
        let isReadable = status.catalog?.txnid != nil
        let behind = isReadable ? "\(status.lagTransactions) transactions behind" : "the catalog cannot be read"
        table.add("caught up", status.caughtUp ? "yes" : "no, \(behind)")
        table.add("stale", "\(status.stale)")
        table.add("quarantined", "\(status.quarantined)")
        table.add("collisions", "\(status.collisions)")
        table.add("tombstones", "\(status.tombstones)")
        if let catalog = status.catalog {
            table.add("catalog", catalog.path)
            table.add("  transaction", Output.number(catalog.txnid))
            table.add("  dimension", Output.number(catalog.dimension))
            table.add("  items", Output.number(catalog.items))
        }
        table.add("daemon", "version \(status.version), pid \(status.pid), up \(Int(status.uptimeSeconds)) s")
        table.print()
        for problem in status.problems {
            Terminal.line("")
            Terminal.line("problem: \(problem.message) [\(problem.code)]")
            Terminal.line("         \(problem.remedy)")
        }
    }
}
