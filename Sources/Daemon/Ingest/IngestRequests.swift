import Core
import Synchronization

/// What others ask of the ingest loop, and who waits for the answer.
///
/// A caller never waits for a loop that has ended, nor longer than its own task lives: the queue closes with the loop, and
/// a cancelled caller is let go at once, whether or not its request was taken.
final class IngestRequests: Sendable {
    /// A request, as the loop takes it.
    enum Request: Sendable {
        /// Start to work on a generation that was just registered.
        case adopt(Int)
        /// Make a generation the active one; answered by `answer(_:_:)`.
        case promote(Int, id: Int)
        /// Apply the deletions that are held; answered by `answerConfirmation(_:_:)`.
        case confirmDeletions(id: Int)
    }

    /// Deletions that will be applied.
    typealias Confirmed = [(generation: Int, held: HeldDeletions)]

    private enum State {
        /// Requests that were not taken yet.
        case open([Request])
        /// The loop has ended, or must end because of this error.
        case closed((any Error)?)
    }

    private struct Shared {
        var state = State.open([])
        /// The callers that wait, by the id of their request.
        var waiting: [Int: CheckedContinuation<Confirmed, any Error>] = [:]
        var nextID = 0
    }

    private let shared = Mutex(Shared())
    /// Wakes the loop where it waits for the catalog.
    private let wake: @Sendable () -> Void

    init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

    // MARK: - Callers

    /// Starts to work on a generation that was just registered. Without a loop the next start does it.
    func adopt(_ generation: Int) {
        shared.withLock { shared in
            guard case .open(let requests) = shared.state else { return }
            shared.state = .open(requests + [.adopt(generation)])
        }
        wake()
    }

    /// Brings a generation up to date and makes it the active one.
    ///
    /// - Throws: `CancellationError` when the caller is cancelled or the loop has ended.
    func promote(_ generation: Int) async throws {
        _ = try await submit { .promote(generation, id: $0) }
    }

    /// Lets the ingest apply the deletions that wait for confirmation.
    ///
    /// - Returns: the generations that hold some, and how many; empty if none does.
    /// - Throws: `CancellationError`, as `promote`.
    func confirmDeletions() async throws -> Confirmed {
        try await submit { .confirmDeletions(id: $0) }
    }

    /// Runs `body` for a caller. If it fails in a way after which the process must not continue, the loop ends with that
    /// failure.
    func endingIfFatal<R: Sendable>(_ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch {
            if (error as? any Failure)?.isFatal == true {
                close(error)
                wake()
            }
            throw error
        }
    }

    private func submit(_ request: (Int) -> Request) async throws -> Confirmed {
        let id = shared.withLock { shared in
            defer { shared.nextID += 1 }
            return shared.nextID
        }
        let request = request(id)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isTaken = shared.withLock { shared in
                    // The handler below may have run already: it found no caller to resume.
                    guard !Task.isCancelled, case .open(let requests) = shared.state else { return false }
                    shared.state = .open(requests + [request])
                    shared.waiting[id] = continuation
                    return true
                }
                if isTaken { wake() } else { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            resume(id, .failure(CancellationError()))
        }
    }

    // MARK: - The loop

    /// The requests that came since the last call, oldest first; those of callers that have gone are left out.
    ///
    /// - Throws: the failure that must end the process, if a caller met one.
    func take() throws -> [Request] {
        try shared.withLock { shared in
            switch shared.state {
            case .open(let requests):
                shared.state = .open([])
                return requests.filter { request in
                    switch request {
                    case .adopt: true
                    case .promote(_, let id), .confirmDeletions(let id): shared.waiting[id] != nil
                    }
                }
            case .closed(let error): throw error ?? CancellationError()
            }
        }
    }

    /// Answers a request to promote.
    func answer(_ id: Int, _ result: Result<Void, any Error>) { resume(id, result.map { [] }) }

    /// Answers a request to confirm deletions.
    func answerConfirmation(_ id: Int, _ confirmed: Confirmed) { resume(id, .success(confirmed)) }

    /// Takes no more requests; every caller that waits is let go with `CancellationError`.
    func close(_ error: (any Error)? = nil) {
        let left = shared.withLock { shared in
            if case .open = shared.state { shared.state = .closed(error) }
            defer { shared.waiting = [:] }
            return shared.waiting.values
        }
        for continuation in left { continuation.resume(throwing: CancellationError()) }
    }

    private func resume(_ id: Int, _ result: Result<Confirmed, any Error>) {
        let continuation = shared.withLock { $0.waiting.removeValue(forKey: id) }
        continuation?.resume(with: result)
    }
}
