import Synchronization

/// Who is connected, and who must make way when there is no room.
///
/// A client that has said nothing whole, or does not read its answer, gives up its place to a new one, the longest
/// idle first. So clients that hang cannot lock out clients that ask.
final class ConnectionTable: Sendable {
    /// What a connection is doing.
    enum Activity: Sendable {
        /// The server waits for (the rest of) a request.
        case waiting
        /// A request is being answered.
        case serving
        /// An answer waits for the client to read.
        case blocked
    }

    /// Whether a connection may come in.
    enum Admission {
        case admitted(Int)
        /// There is no room.
        case refused
        /// The server is on its way out.
        case tooLate
    }

    private struct Entry {
        var uid: UInt32
        var activity = Activity.waiting
        var since: ContinuousClock.Instant
        var close: @Sendable () -> Void
    }

    private struct State {
        var entries: [Int: Entry] = [:]
        var next = 0
        var isDraining = false
        var total = 0
        var refused = 0
        var evicted = 0
    }

    private let state = Mutex(State())
    private let maximum: Int
    private let maximumPerUser: Int
    /// Users to whom only the total applies.
    private let privileged: Set<UInt32>
    /// How long an answer must have been stuck before its connection may be closed for another.
    private let patience: Duration

    init(maximum: Int, maximumPerUser: Int, privileged: Set<UInt32>, patience: Duration = .seconds(1)) {
        self.maximum = maximum
        self.maximumPerUser = maximumPerUser
        self.privileged = privileged
        self.patience = patience
    }

    /// Takes a connection in, closing another if need be. O(connections).
    func admit(
        uid: UInt32, now: ContinuousClock.Instant = .now, close: @escaping @Sendable () -> Void
    ) -> Admission {
        let (admission, evicted) = state.withLock { state -> (Admission, Entry?) in
            var evicted: Entry?
            let own = privileged.contains(uid) ? 0 : state.entries.values.count { $0.uid == uid }
            guard !state.isDraining else {
                state.refused += 1
                return (.tooLate, nil)
            }
            if own >= maximumPerUser || state.entries.count >= maximum {
                let candidates = state.entries.filter { _, entry in
                    (own < maximumPerUser || entry.uid == uid) && isEvictable(entry, now)
                }
                guard let victim = candidates.min(by: { $0.value.since < $1.value.since }) else {
                    state.refused += 1
                    return (.refused, nil)
                }
                evicted = victim.value
                state.entries[victim.key] = nil
                state.evicted += 1
            }
            let id = state.next
            state.next += 1
            state.total += 1
            state.entries[id] = Entry(uid: uid, since: now, close: close)
            return (.admitted(id), evicted)
        }
        // Outside the lock: closing calls back into the table.
        evicted?.close()
        return admission
    }

    private func isEvictable(_ entry: Entry, _ now: ContinuousClock.Instant) -> Bool {
        switch entry.activity {
        case .waiting: true
        case .serving: false
        case .blocked: now - entry.since >= patience
        }
    }

    /// Notes what a connection does now.
    func set(_ id: Int, _ activity: Activity, now: ContinuousClock.Instant = .now) {
        state.withLock {
            $0.entries[id]?.activity = activity
            $0.entries[id]?.since = now
        }
    }

    /// Forgets a connection that closed.
    func remove(_ id: Int) {
        state.withLock { $0.entries[id] = nil }
    }

    /// Lets nobody in any more and closes those who have asked nothing.
    func drain() {
        let waiting = state.withLock { state in
            state.isDraining = true
            return state.entries.values.filter { $0.activity == .waiting }
        }
        for entry in waiting { entry.close() }
    }

    /// Closes everybody.
    func closeAll() {
        let all = state.withLock { Array($0.entries.values) }
        for entry in all { entry.close() }
    }

    /// Whether the server is on its way out, so that answers say `Connection: close`.
    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// Connections now, and since the start: let in, turned away, closed to make room.
    var counts: (open: Int, total: Int, refused: Int, evicted: Int) {
        state.withLock { ($0.entries.count, $0.total, $0.refused, $0.evicted) }
    }
}
