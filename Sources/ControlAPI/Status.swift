/// The state of the daemon as a whole.
package enum ServiceState: String, Codable, Sendable, CaseIterable {
    /// It has started and has not polled the catalog yet.
    case starting
    /// A generation is active and its answers are kept up to date.
    case serving
    /// The first generation's index is being built; nothing is active yet.
    case building
    /// There is no generation; `letter generation publish` makes one.
    case waitingForGeneration = "waiting_for_generation"
    /// The catalog is missing or cannot be read, and no generation is active.
    case waitingForCatalog = "waiting_for_catalog"
    /// It answers, but something is wrong; see `problems`.
    case degraded
}

/// A problem that an operator can act on.
package struct Problem: Codable, Sendable, Hashable {
    /// Stable name, such as `catalog.missing`.
    package var code: String
    /// What is wrong.
    package var message: String
    /// What to do about it.
    package var remedy: String

    package init(code: String, message: String, remedy: String) {
        self.code = code
        self.message = message
        self.remedy = remedy
    }
}

/// What the daemon knows about its catalog.
package struct CatalogStatus: Codable, Sendable, Hashable {
    package var path: String
    /// Last transaction seen in the catalog; nil while the catalog cannot be read.
    package var txnid: UInt64?
    /// Dimension of the embeddings.
    package var dimension: Int?
    /// Element type of the embeddings: `f32` or `f16`.
    package var dtype: String?
    /// The model that produced the embeddings, as the catalog names it.
    package var embeddingModel: String?
    /// Items in the last snapshot read.
    package var items: Int?
    /// Duration of the last full comparison, in milliseconds.
    package var lastScanMs: Double?
    /// Full comparisons since start.
    package var fullScans: Int?
    /// Batches read from the change log since start.
    package var incrementalBatches: Int?
    /// Records of the catalog compared with the index since start, by full comparisons and by batches of the log.
    package var recordsCompared: Int?

    package init(
        path: String, txnid: UInt64? = nil, dimension: Int? = nil, dtype: String? = nil, embeddingModel: String? = nil,
        items: Int? = nil, lastScanMs: Double? = nil, fullScans: Int? = nil, incrementalBatches: Int? = nil,
        recordsCompared: Int? = nil
    ) {
        self.path = path
        self.txnid = txnid
        self.dimension = dimension
        self.dtype = dtype
        self.embeddingModel = embeddingModel
        self.items = items
        self.lastScanMs = lastScanMs
        self.fullScans = fullScans
        self.incrementalBatches = incrementalBatches
        self.recordsCompared = recordsCompared
    }

    private enum CodingKeys: String, CodingKey {
        case path, txnid, dimension, dtype, items
        case embeddingModel = "embedding_model"
        case lastScanMs = "last_scan_ms"
        case fullScans = "full_scans"
        case incrementalBatches = "incremental_batches"
        case recordsCompared = "records_compared"
    }
}

/// How the catalog is watched.
package struct PollStatus: Codable, Sendable, Hashable {
    /// Time between two polls, in milliseconds.
    package var intervalMs: Double
    /// Polls since start.
    package var count: UInt64
    /// Number of the poll that first saw the present version.
    package var lastChange: UInt64
    /// Time since the end of the last poll, in milliseconds.
    package var lastMsAgo: Double?

    package init(intervalMs: Double, count: UInt64 = 0, lastChange: UInt64 = 0, lastMsAgo: Double? = nil) {
        self.intervalMs = intervalMs
        self.count = count
        self.lastChange = lastChange
        self.lastMsAgo = lastMsAgo
    }

    private enum CodingKeys: String, CodingKey {
        case count
        case lastChange = "last_change"
        case intervalMs = "interval_ms"
        case lastMsAgo = "last_ms_ago"
    }
}

/// The status of the daemon and its active generation; the answer of `/v1/status`.
package struct Status: Codable, Sendable, Hashable {
    package var state: ServiceState
    /// The active generation; nil (JSON null) if there is none.
    package var generation: Int?
    /// Live items of the active generation.
    package var items: Int
    /// Whether the index is up to date with every commit of the catalog seen so far.
    package var caughtUp: Bool
    /// Transactions of the catalog that the index has not caught up with.
    package var lagTransactions: UInt64
    /// Items that cannot be encoded.
    package var quarantined: Int
    /// Items that did not get their natural codes.
    package var collisions: Int
    /// Identifiers of deleted items.
    package var tombstones: Int
    /// Items whose embedding changed since they got their identifier.
    package var stale: Int
    package var problems: [Problem]
    package var catalog: CatalogStatus?
    package var poll: PollStatus?
    package var pid: Int32
    package var version: String
    package var uptimeSeconds: Double

    package init(
        state: ServiceState, generation: Int? = nil, items: Int = 0, caughtUp: Bool = false,
        lagTransactions: UInt64 = 0, quarantined: Int = 0, collisions: Int = 0, tombstones: Int = 0, stale: Int = 0,
        problems: [Problem] = [], catalog: CatalogStatus? = nil, poll: PollStatus? = nil, pid: Int32, version: String,
        uptimeSeconds: Double = 0
    ) {
        self.state = state
        self.generation = generation
        self.items = items
        self.caughtUp = caughtUp
        self.lagTransactions = lagTransactions
        self.quarantined = quarantined
        self.collisions = collisions
        self.tombstones = tombstones
        self.stale = stale
        self.problems = problems
        self.catalog = catalog
        self.poll = poll
        self.pid = pid
        self.version = version
        self.uptimeSeconds = uptimeSeconds
    }

    private enum CodingKeys: String, CodingKey {
        case state, generation, items, quarantined, collisions, tombstones, stale, problems, catalog, poll, pid, version
        case caughtUp = "caught_up"
        case lagTransactions = "lag_transactions"
        case uptimeSeconds = "uptime_seconds"
    }

    // Written by hand because the derived form omits nil members, and `"generation": null` is documented.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(state, forKey: .state)
        try container.encode(generation, forKey: .generation)
        try container.encode(items, forKey: .items)
        try container.encode(caughtUp, forKey: .caughtUp)
        try container.encode(lagTransactions, forKey: .lagTransactions)
        try container.encode(quarantined, forKey: .quarantined)
        try container.encode(collisions, forKey: .collisions)
        try container.encode(tombstones, forKey: .tombstones)
        try container.encode(stale, forKey: .stale)
        try container.encode(problems, forKey: .problems)
        try container.encodeIfPresent(catalog, forKey: .catalog)
        try container.encodeIfPresent(poll, forKey: .poll)
        try container.encode(pid, forKey: .pid)
        try container.encode(version, forKey: .version)
        try container.encode(uptimeSeconds, forKey: .uptimeSeconds)
    }
}
