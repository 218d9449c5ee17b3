import Catalog
import ControlAPI
import Core
import Generations
import IdentifierIndex
import Logging
import Synchronization
import Tokenizer

/// Opens, settles, promotes, retires and closes generations: the one place where registry, indexes and the daemon's state
/// change together.
///
/// Called by the ingest loop alone, one call after another. Blocking work runs on a thread of its own: opening an index
/// that was not closed cleanly checks it, a second and more for a million items, and lookups must not wait for that.
final class GenerationSupervisor: Sendable {
    /// A generation that was opened.
    struct Opened: Sendable {
        var pipeline: GenerationPipeline
        /// Whether the registry knows that its index was complete once.
        var isComplete: Bool
        /// Whether nothing remains to be recorded in the registry; see `settle`.
        var isSettled: Bool
        var isActive: Bool
    }

    private let directory: StateDirectory
    private let registry: GenerationRegistry
    private let state: DaemonState
    /// Opens and closes indexes, and writes the registry.
    private let disk = BlockingPool(name: "generations", threads: 1)
    private let threads: PipelineThreads
    /// The collision policy of generations that are new.
    private let policy: CollisionPolicy
    private let rules: AssignmentRules
    private let logger: Logger
    /// Milliseconds since 1970.
    private let now: @Sendable () -> Int
    /// Models of generations that were just published, so that they need not be read again.
    private let models = Mutex<[Int: TokenizerModel]>([:])

    init(
        directory: StateDirectory, registry: GenerationRegistry, state: DaemonState, threads: PipelineThreads,
        policy: CollisionPolicy, rules: AssignmentRules, logger: Logger, now: @escaping @Sendable () -> Int
    ) {
        self.directory = directory
        self.registry = registry
        self.state = state
        self.threads = threads
        self.policy = policy
        self.rules = rules
        self.logger = logger
        self.now = now
    }

    /// Keeps the model of a generation that was just published until it is opened. May be called by any task.
    func keep(_ model: TokenizerModel, of number: Int) { models.withLock { $0[number] = model } }

    // MARK: - Opening

    /// Opens the generations that were at work when the daemon last ran, the active one first. One that cannot be opened is
    /// reported in the status and does not keep the others from working.
    ///
    /// - Throws: a failure after which the process must not continue.
    func openAll() async throws -> [Opened] {
        let records = try await disk.run { [registry] in try registry.generations() }
        var result: [Opened] = []
        let atWork = records.filter { [.active, .building, .candidate].contains($0.stage) }
        for record in atWork.filter({ $0.stage == .active }) + atWork.filter({ $0.stage != .active }) {
            do {
                result.append(try await open(record))
            } catch {
                if (error as? any Failure)?.isFatal == true { throw error }
                logger.error(
                    "a generation cannot be opened", metadata: ["generation": "\(record.number)", "error": "\(error)"])
                state.note(.generation(record.number), error)
                // The error that lookups get.
                if record.stage == .active { state.change { $0.refused = error as? any Failure } }
            }
        }
        return result
    }

    /// Opens a generation.
    ///
    /// - Parameter toPromote: whether that is for a promotion; refused then if its index was never complete.
    /// - Throws: `generations.unknown`; `daemon.busy`; `StoreError`, `IndexError`, and what loading a model throws.
    func open(_ number: Int, toPromote: Bool) async throws -> Opened {
        let record = try await disk.run { [registry] in try registry.generation(number) }
        if toPromote, record.stage == .building || record.stage == .failed {
            throw DaemonError.cannotAnswer(number, record.stage)
        }
        return try await open(record)
    }

    private func open(_ record: GenerationRecord) async throws -> Opened {
        let known = models.withLock { $0.removeValue(forKey: record.number) }
        let pipeline = try await disk.run { [registry, directory, threads, policy, rules, logger, state] in
            let model = try known ?? registry.model(record.number)
            let index = try IdentifierIndex(
                path: directory.index(record.number),
                identity: .init(
                    generation: record.number, levels: model.levels, codesPerLevel: model.codesPerLevel,
                    model: record.model, policy: policy, arithmetic: FrozenEncoder.arithmetic),
                mustExist: record.stage != .building, background: { threads.trie.start($0) },
                compacted: { [weak state] in state?.report($0, of: record.number, to: logger) })
            index.report(to: logger)
            return try GenerationPipeline(
                number: record.number, model: model, index: index, rules: rules, threads: threads)
        }
        pipeline.index.identity.report(
            configured: policy, arithmetic: FrozenEncoder.arithmetic, state: state, logger: logger)
        if let crash = threads.record.crash, let poison = threads.record.takePoison(of: record.number) {
            try await pipeline.quarantine(poison, signal: crash.signal, now: now())
            logger.error(
                "a record crashed the encoder and is quarantined",
                metadata: ["generation": "\(record.number)", "item": "\(poison.first)"])
        }
        let isActive = record.stage == .active
        state.change { state in
            if isActive { state.active = pipeline } else { state.others.append(pipeline) }
        }
        if isActive { pipeline.loadTrie(state: state, logger: logger) }
        return Opened(
            pipeline: pipeline, isComplete: record.stage != .building,
            isSettled: isActive || record.stage == .retired, isActive: isActive)
    }

    /// Records that a generation cannot be opened.
    func markFailed(_ number: Int, _ error: (any Error)?) async throws {
        let (time, detail) = (now(), error.map { ErrorBody($0).message } ?? "")
        try await disk.run { [registry] in try registry.markFailed(number, detail: detail, now: time) }
        state.clear(number)
    }

    // MARK: - Settling and promoting

    /// Records that the index of a generation is complete. The first generation becomes active without being asked for:
    /// there is nothing that it could make worse.
    ///
    /// A crash between the index's last transaction and this call is repaired by the next start, which calls it again.
    ///
    /// - Returns: whether it became the active one.
    func settle(_ number: Int) async throws -> Bool {
        let hasActive = try await disk.run { [registry] in
            try registry.markCandidate(number)
            return try registry.generations().contains { $0.stage == .active }
        }
        if !hasActive { try await activate(number) }
        return !hasActive
    }

    /// Makes a generation that is at work the active one and retires the one that was.
    func activate(_ number: Int) async throws {
        guard let pipeline = state.now.pipeline(number) else { throw DaemonError.cannotAnswer(number, .retired) }
        let time = now()
        try await disk.run { [registry] in try registry.promote(number, now: time) }
        state.change { state in
            state.others.removeAll { $0.number == number }
            if let old = state.active, old.number != number { state.retired.append(old) }
            state.active = pipeline
            state.refused = nil
        }
        pipeline.loadTrie(state: state, logger: logger)
        logger.notice("generation is active", metadata: ["generation": "\(number)"])
    }

    /// Examines how well a generation's tokenizer fits the catalog, and reports it in the status where it does not.
    ///
    /// Reads the whole index. O(items).
    func examine(_ number: Int) async throws {
        guard let pipeline = state.now.pipeline(number) else { return }
        let error = try await pipeline.read(on: disk) { try $0.meanQuantisationError() } ?? nil
        let (tally, provenance) = (pipeline.progress.tally, pipeline.model.provenance)
        let fit = TokenizerFit(
            items: tally.live, collisions: tally.collisions, error: error,
            trainingError: provenance.figures?.quantisationError, embeddingModel: state.now.format?.embeddingModel,
            trainingEmbeddingModel: provenance.embeddingModel)
        let problem = fit.problem(of: number)
        if state.note(.fit(number), problem), let problem {
            logger.warning("the tokenizer does not fit the catalog", metadata: ["problem": "\(problem)"])
        }
    }

    // MARK: - Closing

    /// Closes the index of a generation that is no longer at work, once the reads under way have ended, so that it need not
    /// be checked when it is opened again.
    func close(_ number: Int) async throws {
        let pipelines = state.take(number)
        for pipeline in pipelines {
            await pipeline.gate.close()
            try await disk.run { try pipeline.index.close() }
            logger.info("generation is closed", metadata: ["generation": "\(number)"])
        }
    }

    /// Closes all indexes and the registry, at the daemon's end.
    func closeAll() async throws {
        for pipeline in state.now.atWork + state.now.retired { try await disk.run { try pipeline.index.close() } }
        try await disk.run { [registry] in try registry.close() }
    }
}
