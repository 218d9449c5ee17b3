import Catalog
import ControlAPI
import Files
import Generations
import IdentifierIndex
import Logging
import SQLiteStore
import Synchronization
import Tokenizer
import Core

/// The loop that watches the catalog and keeps every generation at work in step with it.
///
/// It alone opens, promotes and drops generations, one thing after another: an index has one writer, and the registry
/// and the board change in the same order. Others ask it, and are answered between two transactions at the latest.
final class Ingest: Sendable {
    private let catalog: CatalogWatch
    private let state: StateDirectory
    private let registry: GenerationRegistry
    private let board: DaemonState
    /// Where the registry is read and written.
    private let disk: BlockingPool
    /// The collision policy of generations that are new.
    private let policy: CollisionPolicy
    private let rules: AssignmentRules
    private let logger: Logger
    /// Milliseconds since 1970.
    private let now: @Sendable () -> Int

    /// The threads that generations take turns on.
    private let threads: PipelineThreads
    /// What was asked and is not done yet.
    private let requests = Mutex<[Request]>([])

    /// What others met that must end the process.
    private let fatal = Mutex<(any Error)?>(nil)

    /// Something asked of the loop, and who waits for it.
    private enum Request: Sendable {
        case adopt(GenerationRecord, TokenizerModel)
        case promote(Int, CheckedContinuation<Void, any Error>)
    }

    /// Pauses after a failure: doubled from the first to the last.
    private static let firstPause = Duration.milliseconds(100)
    private static let lastPause = Duration.seconds(5)

    init(
        catalog: CatalogWatch, state: StateDirectory, registry: GenerationRegistry, board: DaemonState,
        disk: BlockingPool,
        policy: CollisionPolicy, rules: AssignmentRules, record: RunRecord, logger: Logger,
        now: @escaping @Sendable () -> Int
    ) {
        threads = PipelineThreads(record: record)
        self.catalog = catalog
        self.state = state
        self.registry = registry
        self.board = board
        self.disk = disk
        self.policy = policy
        self.rules = rules
        self.logger = logger
        self.now = now
    }

    // MARK: - What others ask

    /// Takes a generation that was just registered to work.
    func adopt(_ record: GenerationRecord, model: TokenizerModel) async {
        requests.withLock { $0.append(.adopt(record, model)) }
        await catalog.wake()
    }

    /// Brings a generation up to date and makes it the active one.
    func promote(_ number: Int) async throws {
        try await withCheckedThrowingContinuation { continuation in
            requests.withLock { $0.append(.promote(number, continuation)) }
            Task { await catalog.wake() }
        }
    }

    /// Has the deletions applied that wait for confirmation.
    ///
    /// - Returns: the generations that hold some, and how many.
    /// - Throws: `daemon.nothing_held`.
    func confirmDeletions() async throws -> [(generation: Int, held: GenerationPipeline.HeldDeletions)] {
        let held = board.now.atWork.compactMap { pipeline in
            pipeline.confirm().map { (generation: pipeline.number, held: $0) }
        }
        guard !held.isEmpty else {
            throw DaemonError(
                .nothingHeld, "No deletions wait for confirmation.", remedy: "`letter status` tells when some do.")
        }
        await catalog.wake()
        return held
    }

    /// Does something for others. If it fails in a way after which the process must not go on, `run` ends with that.
    func endingIfFatal<R: Sendable>(_ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch {
            if Self.isFatal(error) {
                fatal.withLock { $0 = $0 ?? error }
                await catalog.wake()
            }
            throw error
        }
    }

    // MARK: - The loop

    /// Runs until cancelled.
    ///
    /// - Throws: when a write to the disk failed in a way that must not be tried again.
    func run() async throws {
        defer { refuseRequests() }
        var pause = Self.firstPause
        while !Task.isCancelled {
            do {
                try await answerRequests()
                let version = try await turn()
                if board.note(.catalog, nil) { logger.info("the catalog can be read") }
                pause = Self.firstPause
                if let version { await catalog.change(from: version) }
            } catch let error where Self.isFatal(error) {
                logger.critical("writing failed, letterd ends", metadata: ["error": "\(error)"])
                throw error
            } catch is CancellationError {
                return
            } catch {
                if error is CatalogError { board.change { $0.seen = nil } }
                if board.note(.catalog, error) { logger.error("ingest pauses", metadata: ["error": "\(error)"]) }
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, Self.lastPause)
            }
        }
    }

    /// One look at the catalog and what follows from it. Returns the version if there was nothing to do.
    private func turn() async throws -> CatalogVersion? {
        if let took = try await catalog.verify() {
            logger.notice("the catalog was verified", metadata: ["took": "\(took.seconds)"])
        }
        let (version, format) = try await catalog.look()
        var worked = false
        for pipeline in board.now.atWork {
            // A generation that cannot follow now is tried again when the catalog changes or its pause is over; the
            // others do not wait for it.
            guard pipeline.isDue, !pipeline.isDone(with: version) || !pipeline.isSettled else { continue }
            do {
                if !pipeline.answers(version) { try await catchUp(pipeline, format) }
                try await settle(pipeline)
                pipeline.succeeded()
                if board.note(.generation(pipeline.number), nil) {
                    logger.info("generation goes on", metadata: ["generation": "\(pipeline.number)"])
                }
                worked = true
            } catch let error where Self.isOfOneGeneration(error) {
                // Held deletions wait for a person or another commit, not for a time.
                if (error as? DaemonError)?.reason != .deletionsHeld { pipeline.failed() }
                if board.note(.generation(pipeline.number), error) {
                    logger.error(
                        "generation cannot follow",
                        metadata: ["generation": "\(pipeline.number)", "error": "\(error)"])
                }
            }
        }
        if worked { return nil }
        if board.now.atWork.contains(where: { $0.mustRetry }) {
            try await Task.sleep(for: Self.firstPause)
            return nil
        }
        return version
    }

    private func catchUp(_ pipeline: GenerationPipeline, _ format: CatalogFormat) async throws {
        guard format.dimension == pipeline.model.inputWidth else {
            throw DaemonError.dimensions(
                of: "Generation \(pipeline.number)", pipeline.model.inputWidth, catalog: format.dimension)
        }
        let start = ContinuousClock.now
        let isFirst = pipeline.state.cursor == nil && board.now.active == nil
        let result = try await pipeline.catchUp(
            catalog, now: now,
            largestChunk: isFirst ? GenerationPipeline.firstBuildItems : GenerationPipeline.chunkItems
        ) {
            // Between the transactions of a long build the active generation is kept up to date, and requests answered.
            try await self.answerRequests()
            guard let active = self.board.now.active, active.number != pipeline.number, active.isDue else { return }
            let (version, format) = try await self.catalog.look()
            guard !active.isDone(with: version) else { return }
            do {
                try await self.catchUp(active, format)
            } catch let error where Self.isOfOneGeneration(error) {
                active.failed()
                self.board.note(.generation(active.number), error)
            }
        }
        let took = start.duration(to: .now)
        board.change {
            $0.recordsCompared += result.changes.scanned
            if result.fault == nil {
                $0.incrementalBatches += 1
            } else {
                $0.fullScans += 1
                $0.lastScan = result.scan
                $0.lastScanned = result.changes.scanned
            }
            // The snapshot may be newer than the last look; what is seen is then what is answered.
            if let seen = $0.seen, result.changes.version.covers(seen) { $0.seen = result.changes.version }
        }
        logger.debug(
            "reconciled",
            metadata: [
                "generation": "\(pipeline.number)", "txnid": "\(result.changes.version.transaction)",
                "items": "\(result.changes.scanned)",
                "by": "\(result.fault.map { "a full comparison: \($0.rawValue)" } ?? "the change log")",
                "changed": "\(result.changes.changed.count)",
                "deleted": "\(result.changes.deleted.count)", "took": "\(took.seconds)",
                "scan": "\(result.scan.seconds)", "read": "\(result.read.seconds)",
                "encode": "\(result.encode.seconds)", "quantise": "\(result.quantise.seconds)",
                "write": "\(result.write.seconds)",
            ])
    }

    /// Says in the registry what a complete index makes of a generation. A death between the index's last transaction
    /// and this is made good at the next start, for nothing else tells that it is not settled.
    private func settle(_ pipeline: GenerationPipeline) async throws {
        guard !pipeline.isSettled else { return }
        let hasActive = try await disk.run { [registry] in
            try registry.markCandidate(pipeline.number)
            return try registry.generations().contains { $0.stage == .active }
        }
        // The first generation needs nobody's consent: there is nothing that it could make worse.
        if !hasActive { try await activate(pipeline) }
        pipeline.settled()
    }

    // MARK: - Opening, promoting, dropping

    /// Takes the generations to work that were at work when the daemon last ran. What cannot be opened is told in the
    /// status and does not keep the others from working.
    func open() async throws {
        let records = try await disk.run { [registry] in try registry.generations() }
        for record in records where [.active, .building, .candidate].contains(record.stage) {
            do {
                let pipeline = try await open(record, model: nil)
                board.change { state in
                    if record.stage == .active { state.active = pipeline } else { state.others.append(pipeline) }
                }
                if record.stage == .active {
                    pipeline.settled()
                    pipeline.loadTrie(board: board, logger: logger)
                }
            } catch {
                if Self.isFatal(error) { throw error }
                logger.error(
                    "a generation cannot be opened", metadata: ["generation": "\(record.number)", "error": "\(error)"])
                board.note(.generation(record.number), error)
                // Whoever asks is told why nothing answers.
                if record.stage == .active { board.change { $0.refused = error as? any Failure } }
            }
        }
    }

    private func open(_ record: GenerationRecord, model: TokenizerModel?) async throws -> GenerationPipeline {
        let pipeline = try await disk.run { [registry, state, threads, policy, rules, logger] in
            let model = try model ?? registry.model(record.number)
            let index = try IdentifierIndex(
                path: state.index(record.number),
                identity: .init(
                    generation: record.number, levels: model.levels, codesPerLevel: model.codesPerLevel,
                    model: record.model, policy: policy, arithmetic: FrozenEncoder.arithmetic),
                mustExist: record.stage != .building, background: { threads.trie.start($0) })
            index.report(to: logger)
            return try GenerationPipeline(
                number: record.number, model: model, index: index, rules: rules, threads: threads)
        }
        pipeline.index.identity.report(
            configured: policy, arithmetic: FrozenEncoder.arithmetic, board: board, logger: logger)
        if let crash = threads.record.crash, let poison = threads.record.takePoison(of: record.number) {
            try await pipeline.quarantine(poison, signal: crash.signal, now: now())
            logger.error(
                "a record ended the encoder and is quarantined",
                metadata: ["generation": "\(record.number)", "item": "\(poison.first)"])
        }
        return pipeline
    }

    private func activate(_ pipeline: GenerationPipeline) async throws {
        let time = now()
        try await disk.run { [registry] in try registry.promote(pipeline.number, now: time) }
        board.change { state in
            state.others.removeAll { $0.number == pipeline.number }
            // Problems of a generation that is no longer at work are nobody's.
            if let old = state.active {
                state.problems[.generation(old.number)] = nil
                state.problems[.arithmetic(old.number)] = nil
                state.problems[.trie(old.number)] = nil
            }
            state.active = pipeline
            state.refused = nil
        }
        pipeline.settled()
        pipeline.loadTrie(board: board, logger: logger)
        logger.notice("generation is active", metadata: ["generation": "\(pipeline.number)"])
    }

    private func answerRequests() async throws {
        if let error = fatal.withLock(\.self) { throw error }
        while let request = takeRequest() {
            switch request {
            case .adopt(let record, let model):
                do {
                    let pipeline = try await open(record, model: model)
                    board.change { $0.others.append(pipeline) }
                } catch {
                    if Self.isFatal(error) { throw error }
                    logger.error(
                        "a generation cannot be opened",
                        metadata: ["generation": "\(record.number)", "error": "\(error)"])
                    let time = now()
                    try await disk.run { [registry] in
                        try registry.markFailed(record.number, detail: ErrorBody(error).message, now: time)
                    }
                }
            case .promote(let number, let continuation):
                do {
                    try await answerPromote(number)
                    continuation.resume()
                } catch {
                    continuation.resume(throwing: error)
                    if error is CancellationError || Self.isFatal(error) { throw error }
                }
            }
        }
    }

    /// The next request that can be answered now: not to promote a generation in the middle of a catch-up, whose rest
    /// would then be written over newer work.
    private func takeRequest() -> Request? {
        let state = board.now
        return requests.withLock { requests in
            let index = requests.firstIndex { request in
                guard case .promote(let number, _) = request else { return true }
                return state.pipeline(number)?.state.isBusy != true
            }
            return index.map { requests.remove(at: $0) }
        }
    }

    private func answerPromote(_ number: Int) async throws {
        guard board.now.active?.number != number else { return }
        let record = try await disk.run { [registry] in try registry.generation(number) }
        guard record.stage != .building, record.stage != .failed else {
            throw DaemonError(
                .busy, "Generation \(number) is \(record.stage.rawValue) and cannot answer.",
                remedy: "Wait until `letter generation list` shows it as a candidate, or publish its model again.")
        }
        let pipeline: GenerationPipeline
        if let known = board.now.pipeline(number) {
            pipeline = known
        } else {
            pipeline = try await open(record, model: nil)
        }
        do {
            let (version, format) = try await catalog.look()
            if !pipeline.answers(version) { try await catchUp(pipeline, format) }
        } catch let error as DaemonError where error.reason == .deletionsHeld {
            // It answers all but what is held, and says so.
            board.note(.generation(number), error)
        } catch let error as CatalogError {
            // Going back must be possible just when the catalog cannot be read: the index answers what it last knew.
            logger.warning("promoted as it is", metadata: ["generation": "\(number)", "error": "\(error)"])
        }
        try await activate(pipeline)
    }

    private func refuseRequests() {
        for request in requests.withLock({ requests in
            defer { requests = [] }
            return requests
        }) {
            if case .promote(_, let continuation) = request { continuation.resume(throwing: CancellationError()) }
        }
    }
}
