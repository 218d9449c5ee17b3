import Catalog
import Core
import IdentifierIndex
import Logging

/// One catch-up of a generation: finds what changed in the catalog, then encodes and writes it chunk by chunk.
///
/// While a chunk is written the next one is read and encoded. A crash between chunks loses nothing: what is not yet in the
/// index is found again by its digest.
///
/// Used by one task, the ingest loop. Memory: the ids of what changed, and two chunks.
final class CatchUp {
    /// Items that are read and encoded together: the embeddings in memory are two such blocks.
    static let blockItems = 8_192
    /// Most items of a transaction. Identifiers fall all over their table, so a small transaction of a large build
    /// rewrites most of its pages; each further transaction writes the whole table once more.
    static let chunkItems = 65_536
    /// The same where no reader waits for anything, in the first build of the first generation: a transaction then takes as
    /// many items as the index has, up to this many. An item takes about 300 bytes until it is written.
    static let firstBuildItems = 262_144

    private let pipeline: GenerationPipeline
    private let catalog: CatalogWatch
    private let confirmed: Int
    private let largestChunk: Int
    private let started = ContinuousClock.now
    private var stage = Stage.comparing

    private enum Stage {
        /// Nothing was done yet.
        case comparing
        /// Deletions from this position on remain.
        case deleting(Plan, from: Int)
        /// This chunk is to be written, and the items after it to be prepared.
        case writing(Plan, Prepared, rest: ArraySlice<ItemID>)
    }

    /// What the comparison found, and what follows from it.
    private struct Plan {
        var changes: ChangeSet
        /// The deletions that are not applied, if they are too many.
        var held: HeldDeletions?
        /// The cursor that chunks before the last one leave; see `GenerationPipeline.brokenCursor`.
        var broken: CatalogCursor?
        /// Codes of items that a new generation's balancing moves.
        var balanced: [ItemID: Identifier] = [:]
    }

    /// What was done so far, and where the time went; nil before the comparison.
    private(set) var result: Reconciliation?

    /// - Parameters:
    ///   - confirmed: how many deletions may be applied although they are many.
    ///   - largestChunk: items that a transaction may grow to.
    init(_ pipeline: GenerationPipeline, _ catalog: CatalogWatch, confirmed: Int, largestChunk: Int) {
        self.pipeline = pipeline
        self.catalog = catalog
        self.confirmed = confirmed
        self.largestChunk = largestChunk
    }

    /// Does the next piece of work: at most one transaction.
    ///
    /// - Parameter now: milliseconds since 1970.
    /// - Throws: `CatalogError`, `StoreError`, `CancellationError`; the catch-up cannot be continued then.
    func advance(now: Int) async throws -> IngestMachine.Advance {
        if case .comparing = stage { stage = .deleting(try await compare(), from: 0) }
        if case .deleting(var plan, let start) = stage {
            let deleted = plan.changes.deleted
            if plan.held == nil, start < deleted.count {
                let end = min(start + Self.chunkItems, deleted.count)
                var chunk = Chunk()
                chunk.deleted = Array(deleted[start..<end])
                chunk.cursor = plan.broken
                try await apply(Prepared(chunk: chunk), now: now)
                stage = .deleting(plan, from: end)
                return .more
            }
            let changed = plan.changes.changed
            plan.balanced = try await pipeline.balance(changed, catalog)
            let first = changed.prefix(Self.chunkItems)
            stage = .writing(
                plan, try await pipeline.prepare(first, catalog, plan.balanced), rest: changed.dropFirst(first.count))
        }
        guard case .writing(let plan, var current, let rest) = stage else { return .more }
        guard !rest.isEmpty else { return try await finish(plan, current, now: now) }
        let next = rest.prefix(max(Self.chunkItems, min(rest.startIndex, largestChunk)))
        current.chunk.cursor = plan.broken
        let (pipeline, catalog) = (pipeline, catalog)
        async let prepared = pipeline.prepare(next, catalog, plan.balanced)
        try await apply(current, now: now)
        stage = .writing(plan, try await prepared, rest: rest.dropFirst(next.count))
        return .more
    }

    private func compare() async throws -> Plan {
        let (changes, fault) = try await pipeline.compare(catalog)
        result = Reconciliation(changes: changes, fault: fault, scan: started.duration(to: .now))
        pipeline.expect(changes.changed.count + changes.deleted.count)
        let found = HeldDeletions(
            version: changes.version, deletions: changes.deleted.count, items: changes.known)
        return Plan(
            changes: changes, held: found.isMany && found.deletions > confirmed ? found : nil,
            broken: pipeline.brokenCursor(by: changes))
    }

    /// Writes the last chunk, empty where nothing changed: it makes it true that this version is answered.
    private func finish(_ plan: Plan, _ last: Prepared, now: Int) async throws -> IngestMachine.Advance {
        var last = last
        last.chunk.cursor = plan.held == nil ? plan.changes.cursor : plan.broken
        try await apply(last, now: now)
        result?.took = started.duration(to: .now)
        if let held = plan.held { return .held(held) }
        pipeline.threads.record.passed(pipeline.number)
        return .finished(plan.changes.version)
    }

    private func apply(_ prepared: Prepared, now: Int) async throws {
        let start = ContinuousClock.now
        try await pipeline.apply(prepared, now: now)
        result?.write += start.duration(to: .now)
        result?.read += prepared.read
        result?.encode += prepared.encode
        result?.quantise += prepared.quantise
    }
}

/// What bringing an index up to date took. Encoding one chunk and writing the one before overlap.
struct Reconciliation: Sendable {
    var changes: ChangeSet
    /// Why the change log could not give the changes; nil where it did.
    var fault: LogFault?
    /// All of it, other generations' turns in between included.
    var took = Duration.zero
    /// Finding what changed.
    var scan: Duration
    /// Copying embeddings out of the catalog.
    var read = Duration.zero
    /// The encoder, and the codebooks.
    var encode = Duration.zero
    var quantise = Duration.zero
    /// The transactions of the index.
    var write = Duration.zero

    /// For the log.
    var metadata: Logger.Metadata {
        [
            "txnid": "\(changes.version.transaction)", "items": "\(changes.scanned)",
            "by": "\(fault.map { "a full comparison: \($0.rawValue)" } ?? "the change log")",
            "changed": "\(changes.changed.count)", "deleted": "\(changes.deleted.count)",
            "took": "\(took.seconds)", "scan": "\(scan.seconds)",
            "read": "\(read.seconds)", "encode": "\(encode.seconds)", "quantise": "\(quantise.seconds)",
            "write": "\(write.seconds)",
        ]
    }
}
