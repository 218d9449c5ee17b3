import Catalog
import Glibc
import IdentifierIndex
import Synchronization
import Tokenizer
import Core

/// The threads that generations at work take turns on.
struct PipelineThreads: Sendable {
    static let encodeName = "encode"
    let encode = DedicatedThread(name: encodeName)
    let index = DedicatedThread(name: "index")
    let ahead = BlockingPool(name: "ahead", threads: 1)
    /// Where it is noted what is being encoded.
    let record: RunRecord
    /// Where tries are loaded into memory and merged.
    let trie = BlockingPool(name: "trie", threads: 1)
}

/// One generation at work: its frozen tokenizer and its index.
///
/// The ingest alone brings it forward, one catch-up at a time; anybody may ask how far it is.
final class GenerationPipeline: Sendable {
    let number: Int
    let model: TokenizerModel
    let index: IdentifierIndex

    let threads: PipelineThreads
    let rules: AssignmentRules
    let encoder: Encoder
    private let writer: IndexWriter
    /// Kept in step with the index's own, so that nobody reads the disk to learn how far it is.
    private let progress: Mutex<Progress>

    /// How far the index is.
    struct Progress: Sendable {
        /// How far the catalog is answered; nil before the first build is complete.
        var cursor: CatalogCursor?
        var tally: Tally
        /// Deletions that wait for confirmation, if there are any.
        var held: HeldDeletions?
        /// How many deletions the next catch-up may apply although they are many.
        var confirmed = 0
        /// Items done and to do in the change set at hand.
        var done = 0
        var expected = 0
        /// Whether a catch-up is under way.
        var isBusy = false
        /// Whether the registry knows that the index was complete once.
        var isSettled = false
        /// After a failure: when to try again, and how long to wait after the next one.
        var retry: ContinuousClock.Instant?
        var pause = firstPause
    }

    /// Deletions that were found in a version of the catalog and not applied.
    struct HeldDeletions: Sendable, Hashable {
        var version: CatalogVersion
        var deletions: Int
        var items: Int

        /// Whether so many deletions wait for confirmation (rule 7): more than a fifth of the items.
        var isMany: Bool { deletions * 5 > items }
    }

    /// Pauses after a failure: doubled from the first to the last.
    private static let firstPause = Duration.milliseconds(200)
    private static let lastPause = Duration.seconds(10)

    /// Items that are read and encoded together: the vectors in memory are two such blocks.
    static let blockItems = 8_192
    /// Most items of a transaction. Identifiers fall all over their table, so a small transaction of a large build
    /// rewrites most of its pages; each transaction more is the whole table written once more.
    static let chunkItems = 65_536
    /// The same where nobody waits for anything, in the first build of the first generation: a transaction then takes as
    /// many items as the index has, up to this many. An item takes about 300 bytes until it is written.
    static let firstBuildItems = 262_144

    init(
        number: Int, model: TokenizerModel, index: IdentifierIndex, rules: AssignmentRules, threads: PipelineThreads
    ) throws {
        self.number = number
        self.model = model
        self.index = index
        self.threads = threads
        self.rules = rules
        encoder = Encoder(generation: number, model: model, thread: threads.encode, record: threads.record)
        writer = IndexWriter(model: model, index: index, rules: rules, thread: threads.index)
        progress = Mutex(Progress(cursor: try index.cursor(), tally: try index.tally()))
    }

    /// How far the index is now.
    var state: Progress { progress.withLock { $0 } }

    /// Whether the index answers this version of the catalog.
    func answers(_ version: CatalogVersion) -> Bool { progress.withLock { $0.cursor?.version == version } }

    /// Whether nothing can be done about this version of the catalog: it is answered, or what it deletes is held.
    func isDone(with version: CatalogVersion) -> Bool {
        progress.withLock { $0.cursor?.version == version || ($0.held?.version == version && $0.confirmed == 0) }
    }

    /// Lets the next catch-up apply the deletions that are held. Returns what they are; nil if none are.
    func confirm() -> HeldDeletions? {
        progress.withLock {
            // A few more may have come since; not many more.
            if let held = $0.held { $0.confirmed = held.deletions + held.items / 5 }
            return $0.held
        }
    }

    /// Whether the registry knows that the index was complete once.
    var isSettled: Bool { progress.withLock { $0.isSettled } }
    func settled() { progress.withLock { $0.isSettled = true } }

    /// Whether it failed and is to be tried again, and whether that time has come (also true if it did not fail).
    var mustRetry: Bool { progress.withLock { $0.retry != nil } }
    var isDue: Bool { progress.withLock { $0.retry.map { $0 <= .now } ?? true } }

    func failed() {
        progress.withLock {
            $0.retry = .now + $0.pause
            $0.pause = min($0.pause * 2, Self.lastPause)
        }
    }

    func succeeded() {
        progress.withLock {
            $0.retry = nil
            $0.pause = Self.firstPause
        }
    }

    /// Brings the index to the catalog's present version: compares, then encodes and writes chunk by chunk.
    ///
    /// While a chunk is written the next one is read and encoded. A death between chunks loses nothing: what is not yet
    /// in the index is found again by its digest.
    ///
    /// - Parameters:
    ///   - largestChunk: items that a transaction may grow to.
    ///   - between: awaited after each chunk.
    /// - Precondition: no other catch-up of this generation is under way.
    /// - Returns: what was done, and where the time went.
    func catchUp(
        _ catalog: CatalogWatch, now: () -> Int, largestChunk: Int = chunkItems,
        between: () async throws -> Void = {}
    ) async throws -> Reconciliation {
        progress.withLock { $0.isBusy = true }
        defer { progress.withLock { $0.isBusy = false } }
        let start = ContinuousClock.now
        let (changes, fault) = try await compare(catalog)
        var result = Reconciliation(changes: changes, fault: fault, scan: start.duration(to: .now))
        progress.withLock {
            $0.done = 0
            $0.expected = changes.changed.count + changes.deleted.count
        }
        let found = HeldDeletions(version: changes.version, deletions: changes.deleted.count, items: changes.known)
        let isHeld = found.isMany && found.deletions > progress.withLock { $0.confirmed }
        progress.withLock { $0.held = isHeld ? found : nil }
        let broken = brokenCursor(by: changes)
        for start in stride(from: 0, to: isHeld ? 0 : changes.deleted.count, by: Self.chunkItems) {
            var chunk = Chunk()
            chunk.deleted = Array(changes.deleted[start..<min(start + Self.chunkItems, changes.deleted.count)])
            chunk.cursor = broken
            try await apply(Prepared(chunk: chunk), now: now(), &result)
        }
        let balanced = try await balance(changes.changed, catalog)
        var rest = changes.changed[...]
        let first = rest.prefix(Self.chunkItems)
        rest = rest.dropFirst(Self.chunkItems)
        var current = try await prepare(first, catalog, balanced)
        while !rest.isEmpty {
            let following = rest.prefix(max(Self.chunkItems, min(rest.startIndex, largestChunk)))
            rest = rest.dropFirst(following.count)
            current.chunk.cursor = broken
            async let next = prepare(following, catalog, balanced)
            try await apply(current, now: now(), &result)
            current = try await next
            try await between()
        }
        // The last chunk, empty where nothing changed, makes it true that this version is answered.
        current.chunk.cursor = isHeld ? broken : changes.cursor
        try await apply(current, now: now(), &result)
        if isHeld {
            throw DaemonError(
                .deletionsHeld,
                "The catalog lacks \(found.deletions) of the \(found.items) items of generation \(number); they are kept.",
                remedy: "If that is right, confirm it with `letter catalog confirm`; if not, put the items back.")
        }
        progress.withLock { $0.confirmed = 0 }
        threads.record.passed(number)
        return result
    }

    /// A chunk, and the latent vectors that its collisions are decided by.
    struct Prepared: Sendable {
        var chunk: Chunk
        var latents: [Float] = []
        var read = Duration.zero
        var encode = Duration.zero
        var quantise = Duration.zero
    }

    /// Reads and encodes a chunk's items, block by block.
    private func prepare(
        _ items: ArraySlice<ItemID>, _ catalog: CatalogWatch, _ balanced: [ItemID: Identifier]
    ) async throws -> Prepared {
        var prepared = Prepared(chunk: Chunk())
        var rest = items
        while !rest.isEmpty {
            try Task.checkCancellation()
            let block = threads.record.block(of: rest, generation: number, most: Self.blockItems)
            try await prepare(block, catalog, into: &prepared)
            rest = rest.dropFirst(block.count)
        }
        guard !balanced.isEmpty else { return prepared }
        for (row, item) in prepared.chunk.encoded.enumerated() {
            // A record that was rewritten in between has codes of its own.
            guard let codes = balanced[item.id], codes.prefix(model.levels - 1) == item.natural.prefix(model.levels - 1)
            else { continue }
            prepared.chunk.encoded[row].balanced = codes
        }
        return prepared
    }

    func prepare(
        _ items: ArraySlice<ItemID>, _ catalog: CatalogWatch, into prepared: inout Prepared
    ) async throws {
        let start = ContinuousClock.now
        let batch = try await catalog.vectors(of: items)
        let read = ContinuousClock.now
        let (encoding, quantise) = try await encoder.encode(batch)
        prepared.read += start.duration(to: read)
        prepared.encode += read.duration(to: .now) - quantise
        prepared.quantise += quantise
        prepared.chunk.rejected += batch.rejected.map { rejected in
            RejectedItem(
                id: rejected.item, digest: rejected.digest, reason: rejected.fault.rawValue,
                detail: rejected.fault.detail(byteCount: rejected.byteCount, width: model.inputWidth))
        }
        let levels = model.levels
        let unusable = Set(encoding.unusable)
        if unusable.isEmpty { prepared.latents += encoding.latents }
        for row in 0..<batch.items.count {
            if unusable.contains(row) {
                prepared.chunk.rejected.append(
                    RejectedItem(
                        id: batch.items[row], digest: batch.digests[row], reason: "not_encodable",
                        detail: "The encoder's output for this vector is not finite."))
                continue
            }
            if !unusable.isEmpty {
                prepared.latents += encoding.latents[(row * model.latentWidth)..<((row + 1) * model.latentWidth)]
            }
            let range = (row * levels)..<((row + 1) * levels)
            prepared.chunk.encoded.append(
                EncodedItem(
                    id: batch.items[row], digest: batch.digests[row], natural: Identifier(encoding.codes[range]) ?? [],
                    quantisationError: encoding.quantisationErrors[row], margin: encoding.margins[range].min() ?? 0))
        }
    }

    /// Quarantines the record that ended the last run; it is not encoded again until it changes.
    func quarantine(_ poison: RunRecord.Block, signal: Int32, now: Int) async throws {
        var chunk = Chunk()
        chunk.rejected = [
            RejectedItem(
                id: poison.first, digest: poison.digest, reason: "crashed_encoder",
                detail:
                    "Encoding this record ended the daemon (signal \(signal), \(String(cString: strsignal(signal)))).")
        ]
        let tally = try await writer.apply(chunk, latents: [], now: now)
        progress.withLock { $0.tally = tally }
    }

    private func apply(_ prepared: Prepared, now: Int, _ result: inout Reconciliation) async throws {
        let start = ContinuousClock.now
        let tally = try await writer.apply(prepared.chunk, latents: prepared.latents, now: now)
        result.write += start.duration(to: .now)
        result.read += prepared.read
        result.encode += prepared.encode
        result.quantise += prepared.quantise
        progress.withLock {
            $0.done += prepared.chunk.deleted.count + prepared.chunk.encoded.count + prepared.chunk.rejected.count
            $0.tally = tally
            if let cursor = prepared.chunk.cursor { $0.cursor = cursor }
        }
    }
}

/// What bringing an index up to date took. Encoding one chunk and writing the one before overlap.
struct Reconciliation: Sendable {
    var changes: ChangeSet
    /// Why the change log could not tell the changes; nil where it did.
    var fault: LogFault?
    /// Finding what changed.
    var scan: Duration
    /// Copying vectors out of the catalog.
    var read = Duration.zero
    /// The encoder, and the codebooks.
    var encode = Duration.zero
    var quantise = Duration.zero
    /// The transactions of the index.
    var write = Duration.zero
}

extension RecordFault {
    /// A sentence for the quarantine.
    func detail(byteCount: Int, width: Int) -> String {
        switch self {
        case .wrongSize: "The record has \(byteCount) bytes, which is not a vector of \(width) numbers."
        case .notFinite: "The vector holds a NaN or an infinity."
        }
    }
}

/// The thread that writes to the index.
private actor IndexWriter {
    private let thread: DedicatedThread
    private let index: IdentifierIndex
    private let rules: AssignmentRules
    private let distances: ResidualDistances

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(model: TokenizerModel, index: IdentifierIndex, rules: AssignmentRules, thread: DedicatedThread) {
        self.index = index
        self.rules = rules
        self.thread = thread
        distances = ResidualDistances(model: model)
    }

    /// Applies a chunk; how much the index holds then.
    func apply(_ chunk: Chunk, latents: [Float], now: Int) throws -> Tally {
        try index.apply(
            chunk, distances: ChunkDistances(distances: distances, latents: latents), rules: rules, now: now)
    }
}

/// Distances of the items of a chunk.
private struct ChunkDistances: ItemDistances {
    let distances: ResidualDistances
    /// (items of the chunk, latent width), row-major.
    let latents: [Float]

    func distances(row: Int, below prefix: Identifier, into result: inout [Float]) throws {
        let width = distances.latentWidth
        try distances.distances(latent: latents[(row * width)..<((row + 1) * width)], below: prefix, into: &result)
    }
}
