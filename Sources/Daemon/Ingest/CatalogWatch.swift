import Catalog
import Core
import Files
import Synchronization

/// The daemon's one handle of the catalog, on a thread of its own, as LMDB's rules demand.
///
/// It opens the catalog when it can, and again when another file is moved into its place or its format is changed.
actor CatalogWatch {
    private let path: String
    private let thread = DedicatedThread(name: "catalog")
    private var reader: CatalogReader?
    /// Time between two polls.
    nonisolated let interval: Duration
    /// Where every poll is recorded.
    private let state: DaemonState
    /// Verifies the file in a child process before this one reads it, where that is called for.
    private let verifier: CatalogVerifier
    /// Whether it is called for: the last run did not end cleanly, or something that was read cannot be right. Until the
    /// file was found sound it is not opened, because reading a damaged one can crash the process.
    private var isSuspect: Bool
    /// The file's stamp when it was found damaged, and the damage: it is verified again when its stamp differs.
    private var refused: (stamp: CatalogVerifier.Stamp, error: CatalogError)?
    /// When dead readers were last cleared, and how often they are.
    private var cleared = ContinuousClock.now
    private let readerCheck: Duration
    /// The ingest loop's wait.
    private let waiter = Waiter()
    /// Since when the loop waits for a change, and after how long the polls become half as many.
    private var waitingSince = ContinuousClock.now
    private static let quietAfter = Duration.seconds(10)

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(path: String, interval: Duration, readerCheck: Duration, isSuspect: Bool, state: DaemonState) {
        self.path = path
        self.interval = interval
        self.readerCheck = readerCheck
        self.isSuspect = isSuspect
        self.state = state
        verifier = CatalogVerifier(path: path)
    }

    /// Verifies the catalog if that is called for; otherwise costs nothing.
    ///
    /// - Returns: how long it took; nil if it was not called for.
    /// - Throws: `CatalogError` if it is damaged or cannot be verified now.
    func verify() async throws -> Duration? {
        guard isSuspect else { return nil }
        reader = nil
        let stamp = CatalogVerifier.Stamp(path + "/data.mdb")
        if let refused, refused.stamp == stamp { throw refused.error }
        let start = ContinuousClock.now
        do {
            try await verifier.verify()
        } catch let error as CatalogError where error.reason == .damaged {
            refused = (stamp, error)
            throw error
        }
        isSuspect = false
        refused = nil
        return start.duration(to: .now)
    }

    /// The version of the catalog as it is now, and its format.
    ///
    /// - Throws: `CatalogError` while it is missing or cannot be read; the next call tries again.
    @discardableResult
    func poll() throws -> (version: CatalogVersion, format: CatalogFormat) {
        let (reader, version) = try checked {
            let reader = try opened()
            try reader.confirmSize()
            return (reader, try reader.version())
        }
        let format = reader.format
        let number = state.polled()
        let now = state.now
        if now.seen != version || now.format != format {
            state.change {
                if $0.seen != version { $0.lastChange = number }
                $0.seen = version
                $0.format = format
            }
        }
        clearDeadReaders(reader)
        if waiter.isWaiting(forOtherThan: version) { wake() }
        return (version, format)
    }

    /// Frees the slots of readers that died, from time to time: they keep old pages of the catalog alive.
    private func clearDeadReaders(_ reader: CatalogReader) {
        guard cleared.duration(to: .now) > readerCheck else { return }
        reader.clearDeadReaders()
        cleared = .now
    }

    // MARK: - Waiting

    /// Returns when the catalog has another version than this one or cannot be polled any more, when the deadline comes,
    /// when `wake` is called, or when the task is cancelled. Polls every `interval`, without leaving this thread. One
    /// caller at a time.
    ///
    /// - Parameter version: nil waits for the deadline and `wake` alone.
    func wait(for version: CatalogVersion?, until deadline: ContinuousClock.Instant?) async {
        await withTaskCancellationHandler {
            if let version, (try? poll().version) != version { return }
            await withCheckedContinuation { continuation in
                guard waiter.begin(continuation, version, isCancelled: Task.isCancelled) else {
                    continuation.resume()
                    return
                }
                waitingSince = .now
                watch(until: deadline)
            }
        } onCancel: {
            wake()
        }
    }

    /// Ends the wait for a change, or the next one if none is under way. From any thread.
    ///
    /// Leaves the thread's ticking alone: the loop may wait again, and tick again, before another thread gets to stop it.
    nonisolated func wake() { waiter.end() }

    /// Lets the thread poll every `interval`, half as often where nothing has changed for a while: a quick check while
    /// nothing happens, a full poll when it fails, and from time to time.
    private func watch(until deadline: ContinuousClock.Instant?) {
        guard let version = waiter.version else {
            guard let deadline else { return }
            thread.every(max(.zero, deadline - .now)) { [weak self] in
                self?.assumeIsolated { $0.endWait() }
            }
            return
        }
        let check = reader.flatMap { CatalogQuickCheck($0, at: version) }
        let isQuiet = waitingSince.duration(to: .now) > Self.quietAfter
        let interval = isQuiet ? interval * 2 : interval
        let most = max(1, Int((isQuiet ? readerCheck : min(readerCheck, Self.quietAfter)) / interval) + 1)
        // Of this thread alone, on which both run.
        nonisolated(unsafe) var checks = 0
        thread.every(interval) { [weak self, state] in
            checks += 1
            if let check, checks < most, check.isUnchanged, deadline.map({ $0 > .now }) ?? true {
                state.polled()
                return
            }
            checks = 0
            self?.assumeIsolated { $0.tick(until: deadline) }
        }
    }

    private func endWait() {
        thread.every(interval, nil)
        wake()
    }

    private func tick(until deadline: ContinuousClock.Instant?) {
        guard waiter.version != nil else { return thread.every(interval, nil) }
        if let deadline, deadline <= .now { return endWait() }
        // What is wrong, if anything, is found again and reported by the ingest loop.
        if (try? poll()) == nil { return endWait() }
        // The reader, or the size of its file, may be another one now.
        if waiter.version != nil { watch(until: deadline) } else { thread.every(interval, nil) }
    }

    // MARK: - Reading

    /// Compares the catalog as it is now with what an index knows.
    func changes(holding: Bool, known: @Sendable () throws -> KnownItems) throws -> ChangeSet {
        try checked { try opened().changes(holding: holding, known: known) }
    }

    /// The changes since a cursor by the change log, or why it cannot give them.
    func changes(since cursor: CatalogCursor) throws -> LogReading {
        try checked { try opened().changes(since: cursor) }
    }

    /// The embeddings of items, each as it is now.
    func vectors(of items: ArraySlice<ItemID>) throws -> VectorBatch {
        try checked { try opened().vectors(of: items) }
    }

    /// Reads, and makes the file suspect if what was read cannot be right.
    private func checked<R>(_ read: () throws -> R) throws -> R {
        do { return try read() } catch let error as CatalogError where [.damaged, .lmdb].contains(error.reason) {
            isSuspect = true
            reader = nil
            throw error
        }
    }

    private func opened() throws -> CatalogReader {
        guard !isSuspect else {
            throw refused?.error
                ?? CatalogError(
                    .busy, "The catalog \(path) is being verified.", remedy: "Try again in a moment.")
        }
        if let reader, reader.isCurrent { return reader }
        // Closed before the path is opened again: two handles of one file in a process lose their locks.
        reader = nil
        let opened = try CatalogReader(path: path)
        reader = opened
        return opened
    }
}

/// The ingest loop's wait for a change of the catalog.
private final class Waiter: Sendable {
    private enum State {
        case idle
        /// `wake` was called while the loop did something else: its reason may not have been seen, so the next wait ends
        /// at once.
        case woken
        /// The loop waits for another version than this one.
        case waiting(CheckedContinuation<Void, Never>, CatalogVersion?)
    }

    private let state = Mutex(State.idle)

    /// Begins a wait. Returns false if it has ended already.
    func begin(_ continuation: CheckedContinuation<Void, Never>, _ version: CatalogVersion?, isCancelled: Bool) -> Bool
    {
        state.withLock { state in
            if case .woken = state {
                state = .idle
                return false
            }
            guard !isCancelled else { return false }
            state = .waiting(continuation, version)
            return true
        }
    }

    /// Ends the wait, or the next one.
    func end() {
        let continuation: CheckedContinuation<Void, Never>? = state.withLock { state in
            guard case .waiting(let continuation, _) = state else {
                state = .woken
                return nil
            }
            state = .idle
            return continuation
        }
        continuation?.resume()
    }

    /// The version that the loop waits to change; nil also if it does not wait.
    var version: CatalogVersion? {
        state.withLock { if case .waiting(_, let version) = $0 { version } else { nil } }
    }

    /// Whether the loop waits for another version than the one it would get now.
    func isWaiting(forOtherThan version: CatalogVersion) -> Bool {
        guard let awaited = self.version else { return false }
        return awaited != version
    }
}
