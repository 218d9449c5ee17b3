import ControlAPI
import Core

/// The status as OpenMetrics text.
enum Metrics {
    static func text(
        _ status: Status, connections: (open: Int, total: Int, refused: Int, evicted: Int)
    ) -> String {
        var text = ""
        func gauge(_ name: String, _ help: String, _ value: String) {
            text += "# TYPE letter_\(name) gauge\n# HELP letter_\(name) \(help)\nletter_\(name) \(value)\n"
        }
        func counter(_ name: String, _ help: String, _ value: Int) {
            text += "# TYPE letter_\(name) counter\n# HELP letter_\(name) \(help)\nletter_\(name)_total \(value)\n"
        }
        gauge("generation", "Active generation, 0 for none.", "\(status.generation ?? 0)")
        gauge("items", "Live items of the active generation.", "\(status.items)")
        gauge("caught_up", "Whether the index is up to date with every commit seen.", status.caughtUp ? "1" : "0")
        gauge(
            "lag_transactions", "Catalog transactions that the index has not caught up with.",
            "\(status.lagTransactions)")
        gauge("quarantined_items", "Items that cannot be encoded.", "\(status.quarantined)")
        gauge("collisions", "Items that did not get their natural codes.", "\(status.collisions)")
        gauge("tombstones", "Identifiers of deleted items.", "\(status.tombstones)")
        gauge("stale_items", "Items whose embedding changed since they got their identifier.", "\(status.stale)")
        gauge("problems", "Problems that an operator can act on.", "\(status.problems.count)")
        gauge("uptime_seconds", "Time since the daemon started.", "\(status.uptimeSeconds)")
        if let catalog = status.catalog {
            counter("full_scans", "Comparisons with the whole catalog.", catalog.fullScans ?? 0)
            counter("incremental_batches", "Batches read from the change log.", catalog.incrementalBatches ?? 0)
            counter("records_compared", "Records of the catalog compared with the index.", catalog.recordsCompared ?? 0)
        }
        text += "# TYPE letter_state stateset\n# HELP letter_state The state of the daemon.\n"
        for state in ServiceState.allCases {
            text += "letter_state{letter_state=\"\(state.rawValue)\"} \(state == status.state ? 1 : 0)\n"
        }
        gauge("connections", "Connections to the control socket.", "\(connections.open)")
        counter("connections_accepted", "Connections accepted.", connections.total)
        counter("connections_refused", "Connections refused.", connections.refused)
        counter("connections_evicted", "Idle connections closed in favour of new ones.", connections.evicted)
        return text + "# EOF\n"
    }
}
