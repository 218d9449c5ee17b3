import Catalog
import ControlAPI
import Synchronization
import Core

/// What the ingest knows and the control answers read: small, behind one lock, never held across a call that blocks.
final class DaemonState: Sendable {
    /// The generations at work and how the catalog is. Only the ingest changes which generations there are.
    struct State: Sendable {
        /// The active generation.
        var active: GenerationPipeline?
        /// Generations under construction and candidates, kept up to date beside the active one.
        var others: [GenerationPipeline] = []
        /// Why the generation that the registry calls active does not answer, if that is so.
        var refused: (any Failure)?
        /// The version that the last look saw; nil while the catalog cannot be read.
        var seen: CatalogVersion?
        var format: CatalogFormat?
        /// What is wrong now, by where it was met: each place replaces and clears its own.
        var problems: [ProblemSource: Problem] = [:]
        /// Looks since start, and when the last one was (`monotonicNanoseconds`); copied in by `now`.
        fileprivate(set) var looks = 0
        fileprivate(set) var lastLook: Int?
        /// Number of the look that first saw the version that is there now.
        var lastChange = 0
        /// Batches found by comparing the whole catalog, batches that the change log told, and the records of the
        /// catalog that were compared for either.
        var fullScans = 0
        var incrementalBatches = 0
        var recordsCompared = 0
        var lastScan: Duration?
        var lastScanned: Int?

        /// All generations at work, the active one first.
        var atWork: [GenerationPipeline] { [active].compactMap(\.self) + others }

        /// The generation at work with this number.
        func pipeline(_ number: Int) -> GenerationPipeline? { atWork.first { $0.number == number } }
    }

    /// Where a problem is met.
    enum ProblemSource: Sendable, Hashable, Comparable {
        case catalog
        case generation(Int)
        /// The arithmetic that a generation's index was begun with: worth knowing, nothing is wrong.
        case arithmetic(Int)
        /// A generation's trie in memory.
        case trie(Int)
    }

    private let state = Mutex(State())
    /// Apart from the rest: an idle daemon changes nothing else.
    private let looks = Atomic(0)
    private let lastLook = Atomic(0)

    /// A copy of everything.
    var now: State {
        var copy = state.withLock { $0 }
        copy.looks = looks.load(ordering: .relaxed)
        copy.lastLook = copy.looks > 0 ? lastLook.load(ordering: .relaxed) : nil
        return copy
    }

    /// Changes something.
    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    /// Notes a look. Returns its number.
    @discardableResult
    func looked() -> Int {
        lastLook.store(monotonicNanoseconds(), ordering: .relaxed)
        return looks.wrappingAdd(1, ordering: .relaxed).newValue
    }

    /// Notes what went wrong at a place, or that it is well again. Returns whether that is news.
    @discardableResult
    func note(_ place: ProblemSource, _ error: (any Error)?) -> Bool {
        let problem = error.map { error in
            let body = ErrorBody(error)
            return Problem(code: body.code, message: body.message, remedy: body.remedy)
        }
        return state.withLock { state in
            defer { state.problems[place] = problem }
            return state.problems[place] != problem
        }
    }
}
