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
    let state: StateDirectory
    let registry: GenerationRegistry
    let board: DaemonState
    let ingest: Ingest
    /// Where the index is read for short answers.
    let disk: BlockingPool
    /// Where dumps are read, one at a time, and where models are received and checked, one at a time.
    let dumps: BlockingPool
    let models: BlockingPool
    /// Dumps that are held in memory now.
    let dumpsUnderWay = Mutex(0)
    let logger: Logger
    let started = ContinuousClock.now

    /// Most dumps at a time.
    private static let mostDumps = 2

    init(
        catalogPath: String, socketPath: String, catalog: CatalogWatch, state: StateDirectory,
        registry: GenerationRegistry, board: DaemonState,
        ingest: Ingest, disk: BlockingPool, logger: Logger
    ) {
        self.catalogPath = catalogPath
        self.socketPath = socketPath
        self.catalog = catalog
        self.state = state
        self.registry = registry
        self.board = board
        self.ingest = ingest
        self.disk = disk
        self.logger = logger
        dumps = BlockingPool(name: "dump", threads: 1)
        models = BlockingPool(name: "models", threads: 1)
    }

    // MARK: - How it is

    func status() async throws -> Status {
        let now = board.now
        let progress = now.active?.state
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
            intervalMs: catalog.interval.milliseconds, count: UInt64(now.looks), lastChange: UInt64(now.lastChange),
            lastMsAgo: now.lastLook.map { Double(monotonicNanoseconds() - $0) * 1e-6 })
        return status
    }

    /// Milliseconds since 1970.
    static func milliseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    }

    private func serviceState(_ now: DaemonState.State) -> ServiceState {
        if now.problems[.catalog] != nil, now.seen == nil, now.active == nil { return .waitingForCatalog }
        // Another arithmetic may change the last bits of a distance; the answers are as right as ever.
        let isWrong = now.problems.keys.contains { if case .arithmetic = $0 { false } else { true } }
        if isWrong { return .degraded }
        if now.looks == 0 { return .starting }
        if now.active != nil { return .serving }
        return now.others.isEmpty ? .waitingForGeneration : .building
    }

    func waitCaughtUp(timeout: Duration) async throws -> Status {
        let deadline = ContinuousClock.now + timeout
        // The commits that must be answered for are those that are there now, not those that follow.
        var target: CatalogVersion?
        repeat {
            if target == nil { target = try? await catalog.look().version }
            if let target, let answered = board.now.active?.state.cursor?.version {
                if answered.covers(target) { return try await status() }
                // Another file was moved into the catalog's place meanwhile: its commits are what must be answered.
                if let seen = board.now.seen, seen.inode != target.inode || seen.device != target.device {
                    return try await waitCaughtUp(timeout: deadline - .now)
                }
            }
            // A catalog that cannot be read is not opened more often than the ingest does it.
            try await Task.sleep(for: target == nil ? max(catalog.interval, .milliseconds(50)) : .milliseconds(5))
        } while ContinuousClock.now < deadline
        let why = board.now.problems.sorted { $0.key < $1.key }.first?.value.message
        throw DaemonError(
            .notCaughtUp, "Not every commit was answered for within \(timeout)\(why.map { ": \($0)" } ?? ".")",
            remedy: board.now.active == nil
                ? "No generation is active: publish one with `letter generation publish MODEL`."
                : "Wait longer with `--timeout`; `letter status` shows what is going on.")
    }

    // MARK: - Look-ups

    /// Runs a read on the active generation's index.
    private func read<R: Sendable>(
        _ body: @escaping @Sendable (GenerationPipeline) throws -> R
    ) async throws -> R {
        guard let active = board.now.active else { throw board.now.refused ?? DaemonError.noGeneration }
        return try await disk.run { try body(active) }
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

    func under(prefix: Identifier, limit: Int, after: Identifier?) async throws -> IdentifiersAnswer {
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
        guard let active = board.now.active else { throw board.now.refused ?? DaemonError.noGeneration }
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
        let (number, dump) = (active.number, try await dumps.run { try active.index.dump() })
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
