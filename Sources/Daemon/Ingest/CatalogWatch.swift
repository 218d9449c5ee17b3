import Catalog
import Files
import Core

/// The daemon's one handle of the catalog, on a thread of its own, as LMDB's rules demand.
///
/// It opens the catalog when it can, and anew when another file is moved into its place or its format is changed.
actor CatalogWatch {
    private let path: String
    private let thread = DedicatedThread(name: "catalog")
    private var reader: CatalogReader?
    /// Time between two looks.
    nonisolated let interval: Duration
    /// Told of every look.
    private let board: DaemonState
    /// Verifies the file in a child process before this one reads it, where that is called for.
    private let verifier: CatalogVerifier
    /// Whether it is called for: the last run did not end in order, or something that was read cannot be right. Until
    /// the file was found sound it is not opened, for reading a damaged one can end the process.
    private var isSuspect: Bool
    /// How the file looked when it was found damaged, and how: it is verified again when it looks otherwise.
    private var refused: (stamp: CatalogVerifier.Stamp, error: CatalogError)?
    /// Whether `wake` was called while nobody waited.
    private var woken = false
    /// When dead readers were last cleared, and how often they are.
    private var cleared = ContinuousClock.now
    private let readerCheck: Duration
    /// Since when the ingest waits for a change, and after how long the looks become half as many.
    private var waitingSince = ContinuousClock.now
    private static let quietAfter = Duration.seconds(10)
    /// The ingest, while it waits for another version than this one.
    private var waiter: (continuation: CheckedContinuation<Void, Never>, version: CatalogVersion)?

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(path: String, interval: Duration, readerCheck: Duration, isSuspect: Bool, board: DaemonState) {
        self.path = path
        self.interval = interval
        self.readerCheck = readerCheck
        self.isSuspect = isSuspect
        self.board = board
        verifier = CatalogVerifier(path: path)
    }

    /// Has the catalog verified if that is called for; what nobody doubts costs nothing.
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

    /// The version of the catalog as it is now, and what the catalog says of itself.
    ///
    /// - Throws: `CatalogError` while it is missing or cannot be read; the next call tries again.
    func look() throws -> (version: CatalogVersion, format: CatalogFormat) {
        let (reader, version) = try doubting {
            let reader = try opened()
            try reader.confirmSize()
            return (reader, try reader.version())
        }
        let format = reader.format
        let number = board.looked()
        board.change {
            if $0.seen != version { $0.lastChange = number }
            $0.seen = version
            $0.format = format
        }
        clearDeadReaders(reader)
        if let waiter, waiter.version != version { wake() }
        return (version, format)
    }

    /// Frees, now and then, the slots of readers that died: they keep old pages alive, in everybody's catalog.
    private func clearDeadReaders(_ reader: CatalogReader) {
        guard cleared.duration(to: .now) > readerCheck else { return }
        reader.clearDeadReaders()
        cleared = .now
    }

    /// Returns when the catalog has another version than this one or cannot be looked at any more, when `wake` is
    /// called, or when the task is cancelled; looks every `interval`, without leaving this thread. One caller at a time.
    func change(from version: CatalogVersion) async {
        await withTaskCancellationHandler {
            // A wake that came while nobody waited must not be lost: what it tells of may not have been seen.
            guard !Task.isCancelled, !woken, (try? look().version) == version else {
                woken = false
                return
            }
            await withCheckedContinuation { continuation in
                waiter = (continuation, version)
                waitingSince = .now
                watch()
            }
        } onCancel: {
            Task { await wake() }
        }
    }

    /// Ends the wait for a change: there is something else to do.
    func wake() {
        thread.every(interval, nil)
        guard let waiter else {
            woken = true
            return
        }
        self.waiter = nil
        waiter.continuation.resume()
    }

    /// Has the thread look every `interval`, half as often where nothing has changed for a while: a glance while nothing
    /// happens, else, and now and then, a proper look.
    private func watch() {
        guard let waiter else { return }
        let glance = reader.flatMap { CatalogQuickCheck($0, at: waiter.version) }
        let isQuiet = waitingSince.duration(to: .now) > Self.quietAfter
        let interval = isQuiet ? interval * 2 : interval
        let most = max(1, Int((isQuiet ? readerCheck : min(readerCheck, Self.quietAfter)) / interval) + 1)
        // Of this thread alone, on which both run.
        nonisolated(unsafe) var glances = 0
        thread.every(interval) { [weak self, board] in
            glances += 1
            if let glance, glances < most, glance.isUnchanged {
                board.looked()
                return
            }
            glances = 0
            self?.assumeIsolated { $0.tick() }
        }
    }

    private func tick() {
        // What is wrong, if anything, is found again and reported by whoever waits.
        if (try? look()) == nil {
            wake()
        } else if waiter != nil {
            // The reader, or the size of its file, may be another one now.
            watch()
        }
    }

    /// What `known` lacks against the catalog as it is now.
    func changes(holding: Bool, known: @Sendable () throws -> KnownItems) throws -> ChangeSet {
        try doubting { try opened().changes(holding: holding, known: known) }
    }

    /// What the change log tells since a cursor, or why it cannot.
    func changes(since cursor: CatalogCursor) throws -> LogReading {
        try doubting { try opened().changes(since: cursor) }
    }

    /// The vectors of items, each as it is now.
    func vectors(of items: ArraySlice<ItemID>) throws -> VectorBatch {
        try doubting { try opened().vectors(of: items) }
    }

    /// Reads, and doubts the file if what was read cannot be right.
    private func doubting<R>(_ read: () throws -> R) throws -> R {
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
