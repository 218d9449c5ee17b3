import Catalog
import ControlAPI
import ControlServer
import Generations
import Glibc
import IdentifierIndex
import Logging
import Synchronization
import Tokenizer
import Core

/// Answers of the daemon: each call takes the generation that is active when it begins, and names it.
final class DaemonService: ControlService {
    let catalogPath: String
    let socketPath: String
    let catalog: CatalogWatch
    let directory: StateDirectory
    let registry: GenerationRegistry
    let state: DaemonState
    let supervisor: GenerationSupervisor
    let requests: IngestRequests
    /// Where a comparison reads an index ahead; see `PipelineThreads.ahead`.
    let ahead: BlockingPool
    /// Where the index and the registry are read for short answers.
    let answers: BlockingPool
    /// Where dumps and proofs are read, one at a time, and where models are received and checked, one at a time.
    let dumps: BlockingPool
    let models: BlockingPool
    /// Dumps that are held in memory now.
    let dumpsUnderWay = Mutex(0)
    let logger: Logger
    let started = ContinuousClock.now

    /// Most dumps at a time.
    private static let mostDumps = 2

    init(
        catalogPath: String, socketPath: String, readers: Int, catalog: CatalogWatch, directory: StateDirectory,
        registry: GenerationRegistry, state: DaemonState, supervisor: GenerationSupervisor, requests: IngestRequests,
        ahead: BlockingPool, logger: Logger
    ) {
        self.catalogPath = catalogPath
        self.socketPath = socketPath
        self.catalog = catalog
        self.directory = directory
        self.registry = registry
        self.state = state
        self.supervisor = supervisor
        self.requests = requests
        self.ahead = ahead
        self.logger = logger
        answers = BlockingPool(name: "answer", threads: readers)
        dumps = BlockingPool(name: "dump", threads: 1)
        models = BlockingPool(name: "models", threads: 1)
    }

    // MARK: - Status

    func status() async throws -> Status {
        let now = state.now
        let progress = now.active?.progress
        let tally = progress?.tally
        let answered = progress?.cursor?.version
        var lag: UInt64 = 0
        if let seen = now.seen, now.active != nil {
            let sameFile = answered?.device == seen.device && answered?.inode == seen.inode
            let from = sameFile ? answered?.transaction ?? 0 : 0
            lag = seen.transaction > from ? seen.transaction - from : 0
        }
        let caughtUp = now.seen.map { now.active?.answers($0) ?? false } ?? false
        var status = Status(
            state: serviceState(now), generation: now.active?.number, items: tally?.live ?? 0, caughtUp: caughtUp,
            lagTransactions: lag, quarantined: tally?.quarantined ?? 0, collisions: tally?.collisions ?? 0,
            tombstones: tally?.tombstones ?? 0, stale: tally?.stale ?? 0,
            problems: now.problems.sorted { $0.key < $1.key }.map(\.value), pid: getpid(),
            version: LetterVersion.current,
            uptimeSeconds: started.duration(to: .now).seconds)
        status.catalog = CatalogStatus(
            path: catalogPath, txnid: now.seen?.transaction, dimension: now.format?.dimension,
            dtype: now.format?.elementType.rawValue, embeddingModel: now.format?.embeddingModel, items: now.lastScanned,
            lastScanMs: now.lastScan?.milliseconds, fullScans: now.fullScans,
            incrementalBatches: now.incrementalBatches, recordsCompared: now.recordsCompared)
        status.poll = PollStatus(
            intervalMs: catalog.interval.milliseconds, count: UInt64(now.polls), lastChange: UInt64(now.lastChange),
            lastMsAgo: now.lastPoll.map { Double(monotonicNanoseconds() - $0) * 1e-6 })
        return status
    }

    /// Milliseconds since 1970.
    static func milliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }

    private func serviceState(_ now: DaemonState.Snapshot) -> ServiceState {
        if now.problems[.catalog] != nil, now.seen == nil, now.active == nil { return .waitingForCatalog }
        if now.problems.keys.contains(where: \.isDegrading) { return .degraded }
        if now.polls == 0 { return .starting }
        if now.active != nil { return .serving }
        return now.others.isEmpty ? .waitingForGeneration : .building
    }

    func waitCaughtUp(timeout: Duration) async throws -> Status {
        let deadline = ContinuousClock.now + timeout
        // The index must reach the commits that are there now, not those that follow.
        var target = try? await catalog.poll().version
        while true {
            let (wanted, revision) = (target, state.now.revision)
            let reached = try await state.wait(until: deadline) { now in
                // A catalog that cannot be read is not opened more often than the ingest does it.
                guard let wanted else { return now.seen != nil && now.revision != revision }
                if now.active?.progress.cursor?.version.covers(wanted) == true { return true }
                // Another file was moved into the catalog's place meanwhile: its commits are what must be answered.
                return now.seen.map { $0.inode != wanted.inode || $0.device != wanted.device } ?? false
            }
            guard let reached else { break }
            if let wanted, reached.active?.progress.cursor?.version.covers(wanted) == true { return try await status() }
            target = try? await catalog.poll().version
        }
        let why = state.now.problems.sorted { $0.key < $1.key }.first { $0.key.isDegrading }?.value.message
        throw DaemonError(
            .notCaughtUp, "The index did not catch up within \(timeout)\(why.map { ": \($0)" } ?? ".")",
            remedy: state.now.active == nil
                ? "No generation is active: publish one with `letter generation publish MODEL`."
                : "Wait longer with `--timeout`; `letter status` shows what is going on.")
    }

    // MARK: - Lookups

    /// Runs a read on the active generation's index.
    private func read<R: Sendable>(
        _ body: @escaping @Sendable (GenerationPipeline) throws -> R
    ) async throws -> R {
        while true {
            guard let active = state.now.active else { throw state.now.refused ?? DaemonError.noGeneration }
            if let result = try await active.read(on: answers, { _ in try body(active) }) { return result }
            // It was retired and closed in between: another generation is active now.
        }
    }

    func items(_ ids: [ItemID]) async throws -> ItemsAnswer {
        try await read { active in
            let answers = zip(ids, try active.index.items(ids)).map { id, found in
                ItemAnswer(
                    item: id, codes: found.row?.codes, status: found.status, generation: active.number)
            }
            return ItemsAnswer(generation: active.number, items: answers)
        }
    }

    func identifiers(_ identifiers: [Identifier]) async throws -> IdentifiersAnswer {
        try await read { active in
            let answers = zip(identifiers, try active.index.owners(of: identifiers)).map { codes, owner in
                switch owner {
                case .items(let items): IdentifierAnswer(codes: codes, items: items, generation: active.number)
                case .deleted: IdentifierAnswer(codes: codes, items: [], status: .deleted, generation: active.number)
                case .unassigned: IdentifierAnswer(codes: codes, items: [], generation: active.number)
                }
            }
            return IdentifiersAnswer(generation: active.number, identifiers: answers)
        }
    }

    func next(_ prefixes: [Identifier]) async throws -> TrieAnswers {
        try await read { active in
            let length = active.index.identity.identifierLength
            if let long = prefixes.first(where: { $0.count > length }) {
                throw DaemonError(
                    .wrongLength,
                    "The prefix \(long) has \(long.count) codes; identifiers of generation \(active.number) have \(length).",
                    remedy: "Give at most \(length) codes.")
            }
            let answers = zip(prefixes, try active.index.successors(of: prefixes)).map { prefix, children in
                TrieAnswer(prefix: prefix, next: children.codes, items: children.items, generation: active.number)
            }
            return TrieAnswers(generation: active.number, answers: answers)
        }
    }

    func identifiers(below prefix: Identifier, limit: Int, after: Identifier?) async throws -> IdentifiersAnswer {
        try await read { active in
            let found = try active.index.identifiers(below: prefix, after: after, limit: limit + 1)
            return IdentifiersAnswer(
                generation: active.number,
                identifiers: found.prefix(limit).map {
                    IdentifierAnswer(codes: $0.codes, items: $0.items, generation: active.number)
                }, more: found.count > limit)
        }
    }

    func collisions(limit: Int, after: ItemID?) async throws -> CollisionsAnswer {
        try await read { active in
            let rows = try active.index.collisions(after: after, limit: limit + 1)
            return CollisionsAnswer(
                generation: active.number,
                collisions: rows.prefix(limit).map {
                    Collision(
                        item: $0.item, natural: $0.natural, given: $0.codes, rank: $0.rank, rule: $0.rule,
                        bucket: $0.bucket, since: Timestamp(milliseconds: Int64($0.since)))
                }, more: rows.count > limit)
        }
    }

    func quarantine(limit: Int, after: ItemID?) async throws -> QuarantineAnswer {
        try await read { active in
            let rows = try active.index.quarantine(after: after, limit: limit + 1)
            return QuarantineAnswer(
                generation: active.number,
                quarantined: rows.prefix(limit).map {
                    Quarantined(
                        item: $0.item, reason: "\($0.reason): \($0.detail)",
                        since: Timestamp(milliseconds: Int64($0.since)))
                }, more: rows.count > limit)
        }
    }

    func dump(_ write: @Sendable (DumpBatch) async throws -> Void) async throws {
        guard let active = state.now.active else { throw state.now.refused ?? DaemonError.noGeneration }
        try dumpsUnderWay.withLock { count in
            guard count < Self.mostDumps else {
                throw DaemonError(
                    .busy, "\(count) dumps are under way, and each holds the whole index in memory.",
                    remedy: "Try again when they are done.")
            }
            count += 1
        }
        defer { dumpsUnderWay.withLock { $0 -= 1 } }
        // The whole dump is one snapshot, held in memory: a slow client must not hold a transaction open.
        guard let dump = try await active.read(on: dumps, { try $0.dump() }) else {
            throw DaemonError.cannotAnswer(active.number, .retired)
        }
        let number = active.number
        var position = 0
        repeat {
            let end = min(position + 1_000, dump.count)
            let lines = (position..<end).map { index in
                let (item, codes) = dump[index]
                return ItemDump(item: item, codes: codes)
            }
            try await write(DumpBatch(generation: number, items: lines))
            position = end
        } while position < dump.count
    }
}

extension Duration {
    /// As a number of seconds, and of milliseconds.
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
    var milliseconds: Double { seconds * 1e3 }
}
