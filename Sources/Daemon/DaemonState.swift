import Catalog
import ControlAPI
import Core
import Synchronization

/// What the ingest knows and the answers read: small, behind one lock that is never held across a blocking call.
final class DaemonState: Sendable {
    /// The generations at work and the condition of the catalog. Only the ingest loop changes which generations there are.
    struct Snapshot: Sendable {
        /// The active generation.
        var active: GenerationPipeline?
        /// Generations under construction and candidates, kept up to date next to the active one.
        var others: [GenerationPipeline] = []
        /// Generations that are no longer at work and whose index is not closed yet.
        var retired: [GenerationPipeline] = []
        /// Why the generation that the registry calls active does not answer, if that is so.
        var refused: (any Failure)?
        /// The version that the last poll saw; nil while the catalog cannot be read.
        var seen: CatalogVersion?
        var format: CatalogFormat?
        /// What is wrong now, by its source: each source replaces and clears its own.
        var problems: [ProblemSource: Problem] = [:]
        /// Polls since start, and when the last one was (`monotonicNanoseconds`); copied in by `now`.
        fileprivate(set) var polls = 0
        fileprivate(set) var lastPoll: Int?
        /// Number of the poll that first saw the version that is there now.
        var lastChange = 0
        /// Batches found by comparing the whole catalog, batches that the change log gave, and the records of the catalog
        /// that were compared for either.
        var fullScans = 0
        var incrementalBatches = 0
        var recordsCompared = 0
        var lastScan: Duration?
        var lastScanned: Int?
        /// Counts the changes of this state, so that a waiting caller can tell a new state from one that it has seen.
        fileprivate(set) var revision = 0

        /// All generations at work, the active one first.
        var atWork: [GenerationPipeline] { [active].compactMap(\.self) + others }

        /// The generation at work with this number.
        func pipeline(_ number: Int) -> GenerationPipeline? { atWork.first { $0.number == number } }
    }

    /// Where a problem comes from.
    enum ProblemSource: Sendable, Hashable, Comparable {
        case catalog
        case generation(Int)
        /// The tokenizer of a generation does not fit the catalog: its answers are right, and of little use.
        case fit(Int)
        /// The arithmetic that a generation's index was begun with: worth knowing, nothing is wrong.
        case arithmetic(Int)
        /// A generation's trie in memory.
        case trie(Int)
        /// The compaction of a generation's journal.
        case journal(Int)

        /// Whether something does not work.
        var isDegrading: Bool {
            switch self {
            case .catalog, .generation, .trie, .journal: true
            case .fit, .arithmetic: false
            }
        }
    }

    private struct Shared {
        var snapshot = Snapshot()
        /// Callers that wait for the next change.
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    private let shared = Mutex(Shared())
    /// Apart from the rest: an idle daemon changes nothing else.
    private let polls = Atomic(0)
    private let lastPoll = Atomic(0)

    /// A copy of everything.
    var now: Snapshot {
        var copy = shared.withLock { $0.snapshot }
        copy.polls = polls.load(ordering: .relaxed)
        copy.lastPoll = copy.polls > 0 ? lastPoll.load(ordering: .relaxed) : nil
        return copy
    }

    /// Changes something, and wakes the callers that wait for a change.
    @discardableResult
    func change<R>(_ body: (inout Snapshot) -> R) -> R {
        let (result, waiting) = shared.withLock { shared in
            let result = body(&shared.snapshot)
            shared.snapshot.revision += 1
            defer { shared.waiting = [:] }
            return (result, Array(shared.waiting.values))
        }
        for continuation in waiting { continuation.resume() }
        return result
    }

    /// Records a poll. Returns its number.
    @discardableResult
    func polled() -> Int {
        lastPoll.store(monotonicNanoseconds(), ordering: .relaxed)
        return polls.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// Records what went wrong at a source, or that it is well again. Returns whether that is news.
    @discardableResult
    func note(_ source: ProblemSource, _ error: (any Error)?) -> Bool {
        let problem = error.map { error in
            let body = ErrorBody(error)
            return Problem(code: body.code, message: body.message, remedy: body.remedy)
        }
        guard now.problems[source] != problem else { return false }
        change { $0.problems[source] = problem }
        return true
    }

    /// Forgets the problems of a generation that is not at work.
    func clear(_ number: Int) {
        change { state in
            for source: ProblemSource in [
                .generation(number), .fit(number), .arithmetic(number), .trie(number), .journal(number),
            ] {
                state.problems[source] = nil
            }
        }
    }

    /// Takes a generation that is not the active one out of the state, with its problems, so that it can be closed.
    func take(_ number: Int) -> [GenerationPipeline] {
        clear(number)
        return change { state in
            let taken = (state.others + state.retired).filter { $0.number == number }
            state.others.removeAll { $0.number == number }
            state.retired.removeAll { $0.number == number }
            return taken
        }
    }

    // MARK: - Waiting

    /// Waits until `condition` holds.
    ///
    /// - Returns: the state in which it held; nil if the deadline came first.
    /// - Throws: `CancellationError`.
    func wait(
        until deadline: ContinuousClock.Instant, for condition: @escaping @Sendable (Snapshot) -> Bool
    ) async throws -> Snapshot? {
        try await withThrowingTaskGroup(of: Snapshot?.self) { group in
            group.addTask {
                while true {
                    let now = self.now
                    if condition(now) { return now }
                    try await self.changed(since: now.revision)
                }
            }
            group.addTask {
                try await Task.sleep(until: deadline, clock: .continuous)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    /// Returns when the state is another than that of `revision`.
    private func changed(since revision: Int) async throws {
        let id = shared.withLock { shared in
            defer { shared.nextWaiter += 1 }
            return shared.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustWait = shared.withLock { shared in
                    guard shared.snapshot.revision == revision, !Task.isCancelled else { return false }
                    shared.waiting[id] = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        } onCancel: {
            shared.withLock { $0.waiting.removeValue(forKey: id) }?.resume()
        }
        try Task.checkCancellation()
    }
}
