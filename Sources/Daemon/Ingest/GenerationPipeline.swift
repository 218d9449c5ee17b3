import Catalog
import Core
import Glibc
import IdentifierIndex
import Synchronization
import Tokenizer

/// The threads that generations at work take turns on.
struct PipelineThreads: Sendable {
    static let encodeName = "encode"
    let encode = DedicatedThread(name: encodeName)
    let index = DedicatedThread(name: "index")
    /// Where an index is read ahead of a comparison with the catalog. Never shared with longer work: the catalog's thread
    /// waits for it with a snapshot open, and nothing is polled or ingested meanwhile.
    let ahead = BlockingPool(name: "ahead", threads: 1)
    /// Where the block that is being encoded is recorded.
    let record: RunRecord
    /// What tests inject.
    let hooks: DaemonHooks
    /// Where tries are loaded into memory and merged.
    let trie = BlockingPool(name: "trie", threads: 1)
}

/// One generation at work: its frozen tokenizer and its index.
///
/// The ingest loop alone brings it forward; answers read its index and its progress from other threads.
final class GenerationPipeline: Sendable {
    let number: Int
    let model: TokenizerModel
    let index: IdentifierIndex
    /// Keeps the index open while it is read.
    let gate = ReadGate()

    let threads: PipelineThreads
    let rules: AssignmentRules
    let encoder: Encoder
    private let writer: IndexWriter
    /// A copy of what the index says, so that no caller reads the disk to learn how far it is.
    private let published: Mutex<Progress>

    /// How far the index is.
    struct Progress: Sendable {
        /// How far the catalog is answered; nil before the first build is complete.
        var cursor: CatalogCursor?
        var tally: Tally
        /// Items done and to do in the change set at hand.
        var done = 0
        var expected = 0
    }

    init(
        number: Int, model: TokenizerModel, index: IdentifierIndex, rules: AssignmentRules, threads: PipelineThreads
    ) throws {
        self.number = number
        self.model = model
        self.index = index
        self.threads = threads
        self.rules = rules
        encoder = Encoder(generation: number, model: model, threads: threads)
        writer = IndexWriter(model: model, index: index, rules: rules, thread: threads.index)
        published = Mutex(Progress(cursor: try index.cursor(), tally: try index.tally()))
    }

    /// How far the index is now.
    var progress: Progress { published.withLock { $0 } }

    /// Whether the index answers this version of the catalog.
    func answers(_ version: CatalogVersion) -> Bool { published.withLock { $0.cursor?.version == version } }

    /// A change set of so many items begins.
    func expect(_ items: Int) {
        published.withLock {
            $0.done = 0
            $0.expected = items
        }
    }

    /// Runs a read of the index on a pool, and keeps the index open meanwhile.
    ///
    /// - Returns: nil if the index was closed because its generation was retired: another one is active now.
    func read<R: Sendable>(
        on pool: BlockingPool, _ body: @escaping @Sendable (IdentifierIndex) throws -> R
    ) async throws -> R? {
        guard gate.enter() else { return nil }
        defer { gate.leave() }
        return try await pool.run { [index] in try body(index) }
    }

    /// Writes a chunk in one transaction.
    func apply(_ prepared: Prepared, now: Int) async throws {
        let tally = try await writer.apply(prepared.chunk, latents: prepared.latents, now: now)
        published.withLock {
            $0.done += prepared.chunk.deleted.count + prepared.chunk.encoded.count + prepared.chunk.rejected.count
            $0.tally = tally
            if let cursor = prepared.chunk.cursor { $0.cursor = cursor }
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
        try await apply(Prepared(chunk: chunk), now: now)
    }
}

/// Writes to an index, on the thread that all indexes share for that.
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
