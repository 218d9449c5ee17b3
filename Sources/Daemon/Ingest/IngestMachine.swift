import Core

/// Decides what the ingest does next: a pure state machine, without clock, disk or log.
///
/// `IngestLoop` asks `next(now:)` for one action, carries it out, and reports the result by one of the event methods. One
/// action is under way at a time, because an index has one writer and the registry, the indexes and the daemon's state
/// change in one order. A build of many chunks is many `advance` actions, so that requests are answered and the active
/// generation is kept up to date between two chunks.
///
/// What is decided here, and where it is tested: `IngestMachineTests`, on a mock clock.
struct IngestMachine {
    typealias Instant = ContinuousClock.Instant

    /// Pauses of one generation after a failure: doubled from the first to the last.
    static let firstRetry = Duration.milliseconds(200)
    static let lastRetry = Duration.seconds(10)
    /// Pauses after the catalog could not be read.
    static let firstCatalogRetry = Duration.milliseconds(100)
    static let lastCatalogRetry = Duration.seconds(5)

    private(set) var catalog = CatalogCondition.unknown
    /// The generations at work, in the order in which they came.
    private(set) var generations: [Generation] = []
    /// The number of the active one, if it is at work.
    private(set) var active: Int?
    private(set) var promotion: Promotion?
    private var requests: [Request] = []
    /// What must be done before anything else, in this order.
    private var queued: [Action] = []
    private var catalogPause = firstCatalogRetry

    // MARK: - What to do

    /// The next action.
    mutating func next(now: Instant) -> Action {
        if let action = queued.first {
            queued.removeFirst()
            return action
        }
        if let action = takeRequest() { return action }
        if let promotion {
            switch promotion.stage {
            case .opening: return .open(promotion.generation)
            case .polling: return .poll
            case .activating: return .activate(promotion.generation)
            case .catchingUp: break
            }
        }
        switch catalog {
        case .unknown: return .poll
        case .unreadable(let time) where time <= now: return .poll
        case .unreadable(let time): return .wait(nil, until: time)
        case .seen(let version): return work(on: version, now: now)
        }
    }

    /// What to do about a version: the active generation goes first, then the one that is being promoted, whose caller
    /// waits, then the others.
    private func work(on version: CatalogVersion, now: Instant) -> Action {
        let isPromoted = { [promotion] (number: Int) in promotion?.generation == number }
        let order =
            generations.filter { $0.number == active } + generations.filter { isPromoted($0.number) }
            + generations.filter { $0.number != active && !isPromoted($0.number) }
        for generation in order {
            // A caller waits for it: no pause after a failure.
            if isPromoted(generation.number) || generation.hasWork(version, now: now) {
                return .advance(generation.number, confirmed: generation.confirmed)
            }
            if generation.mustSettle(now: now) { return .settle(generation.number) }
        }
        if let generation = order.first(where: { !$0.isExamined && $0.isSettled && $0.phase == .idle }) {
            return .examine(generation.number)
        }
        let retries = generations.compactMap { generation in
            if case .retrying(let time) = generation.phase, generation.answered != version || !generation.isSettled {
                time
            } else {
                nil
            }
        }
        return .wait(version, until: retries.min())
    }

    // MARK: - Requests

    /// Something was asked for.
    mutating func request(_ request: Request) { requests.append(request) }

    /// Lets the next catch-up apply the deletions that are held. Returns which generations hold some.
    mutating func confirmDeletions() -> [(generation: Int, held: HeldDeletions)] {
        generations.indices.compactMap { index in
            guard case .holding(let held) = generations[index].phase else { return nil }
            // A few more items may have been deleted since the comparison; not many more.
            generations[index].confirmed = held.deletions + held.items / 5
            return (generations[index].number, held)
        }
    }

    /// The action for the first request that can be answered now. One promotion is under way at a time.
    private mutating func takeRequest() -> Action? {
        guard let index = requests.firstIndex(where: { $0.kind == .adopt || promotion == nil }) else { return nil }
        let request = requests.remove(at: index)
        guard case .promote(let id) = request.kind else { return .open(request.generation) }
        guard request.generation != active else { return .answer(id, .done) }
        guard let known = generations.first(where: { $0.number == request.generation }) else {
            promotion = Promotion(id: id, generation: request.generation, stage: .opening)
            return .open(request.generation)
        }
        guard known.isComplete else { return .answer(id, .isBuilding(known.number)) }
        promotion = Promotion(id: id, generation: request.generation, stage: .polling)
        return .poll
    }

    // MARK: - Events

    /// The catalog was read.
    mutating func polled(_ version: CatalogVersion) {
        catalog = .seen(version)
        catalogPause = Self.firstCatalogRetry
        guard let promotion, promotion.stage == .polling else { return }
        let generation = generations.first { $0.number == promotion.generation }
        let isDone: Bool
        switch generation?.phase {
        // What it deletes in this version waits for a person; it answers all else.
        case .holding(let held): isDone = held.version == version && generation?.confirmed == 0
        case .catchingUp: isDone = false
        case .idle, .retrying, nil: isDone = generation?.answered == version
        }
        self.promotion?.stage = isDone ? .activating : .catchingUp
    }

    /// The catalog could not be read.
    mutating func pollFailed(now: Instant) {
        catalog = .unreadable(until: now + catalogPause)
        catalogPause = min(catalogPause * 2, Self.lastCatalogRetry)
        // What remains of a comparison may not be what the catalog holds when it can be read again.
        for index in generations.indices where generations[index].phase == .catchingUp {
            generations[index].phase = .idle
        }
        // It must be possible to return to an older generation just when the catalog cannot be read: its index answers
        // what it last knew.
        if let stage = promotion?.stage, stage == .polling || stage == .catchingUp { promotion?.stage = .activating }
    }

    /// A generation was opened; its index answers `answered`.
    mutating func opened(
        _ number: Int, answered: CatalogVersion?, isComplete: Bool, isSettled: Bool, isActive: Bool = false
    ) {
        generations.append(
            Generation(number: number, answered: answered, isComplete: isComplete, isSettled: isSettled))
        if isActive { active = number }
        guard promotion?.generation == number, promotion?.stage == .opening else { return }
        promotion?.stage = .polling
        promotion?.wasOpened = true
    }

    /// A generation could not be opened.
    mutating func openFailed(_ number: Int) {
        if promotion?.generation == number, promotion?.stage == .opening { return refusePromotion() }
        queued.append(.markFailed(number))
    }

    /// A generation's index was brought forward by a chunk.
    mutating func advanced(_ number: Int, _ advance: Advance) {
        change(number) { generation in
            generation.pause = Self.firstRetry
            switch advance {
            case .more: generation.phase = .catchingUp
            case .finished(let version):
                generation.phase = .idle
                generation.answered = version
                generation.confirmed = 0
            case .held(let held):
                generation.phase = .holding(held)
                generation.confirmed = 0
            }
        }
        // The snapshot that was compared may be newer than the last poll; what is seen is then what is answered.
        if case .finished(let version) = advance, case .seen(let seen) = catalog, version.covers(seen) {
            catalog = .seen(version)
        }
        if advance != .more, promotion?.generation == number { promotion?.stage = .activating }
        // The active generation may have fallen behind while this one worked.
        if number != active, promotion?.stage != .activating { catalog = .unknown }
    }

    /// A generation's index could not be brought forward.
    mutating func advanceFailed(_ number: Int, _ scope: FailureScope, now: Instant) {
        guard scope == .generation else { return pollFailed(now: now) }
        retryLater(number, now: now)
        if promotion?.generation == number { refusePromotion() }
    }

    /// The registry knows that a generation's index is complete; it became the active one if there was none.
    mutating func settled(_ number: Int, isActive: Bool) {
        change(number) {
            $0.isComplete = true
            $0.isSettled = true
            $0.pause = Self.firstRetry
            $0.phase = .idle
        }
        if isActive { active = number }
    }

    /// The registry could not be written.
    mutating func settleFailed(_ number: Int, now: Instant) { retryLater(number, now: now) }

    /// A generation became the active one; the one that was is retired.
    mutating func activated(_ number: Int) {
        if let old = active, old != number {
            generations.removeAll { $0.number == old }
            // After the answer: closing an index writes its trie and empties its log, which takes a moment.
            queued.append(.close(old))
        }
        active = number
        change(number) { $0.isSettled = true }
        guard let promotion, promotion.generation == number else { return }
        self.promotion = nil
        queued.insert(.answer(promotion.id, .done), at: 0)
    }

    /// A generation could not be made the active one.
    mutating func activateFailed(_ number: Int) {
        if promotion?.generation == number { refusePromotion() }
    }

    /// The fit of a generation's tokenizer was examined.
    mutating func examined(_ number: Int) { change(number) { $0.isExamined = true } }

    /// A wait ended.
    mutating func woke(now: Instant) {
        // A catalog that could not be read is not opened more often because requests come.
        if case .unreadable(let time) = catalog, time > now { return }
        catalog = .unknown
    }

    private mutating func refusePromotion() {
        guard let promotion else { return }
        self.promotion = nil
        queued.append(.answer(promotion.id, .failed(promotion.generation)))
        guard promotion.wasOpened else { return }
        generations.removeAll { $0.number == promotion.generation }
        queued.append(.close(promotion.generation))
    }

    private mutating func retryLater(_ number: Int, now: Instant) {
        change(number) {
            $0.phase = .retrying(at: now + $0.pause)
            $0.pause = min($0.pause * 2, Self.lastRetry)
        }
    }

    private mutating func change(_ number: Int, _ body: (inout Generation) -> Void) {
        guard let index = generations.firstIndex(where: { $0.number == number }) else { return }
        body(&generations[index])
    }
}
