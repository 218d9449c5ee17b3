import Synchronization

/// The open connections, and which of them is closed for a new one when there are too many.
///
/// A client that has sent no whole request, or does not read its answer, loses its connection to a new client, the
/// longest idle first. So clients that hang cannot lock out others.
final class ConnectionTable: Sendable {
    /// The activity of a connection.
    enum Activity: Sendable {
        /// The server waits for a request, or for the rest of one.
        case waiting
        /// A request is being answered.
        case serving
        /// The client does not read its answer.
        case blocked
    }

    /// Whether a connection is accepted.
    enum Admission {
        case admitted(Int)
        /// There are too many connections, and none that may be closed.
        case refused
        /// The server is shutting down.
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
    /// Users to whom only the limit on all connections applies.
    private let privileged: Set<UInt32>
    /// How long an answer must have been blocked before its connection may be closed for another.
    private let blockedTime: Duration

    init(maximum: Int, maximumPerUser: Int, privileged: Set<UInt32>, blockedTime: Duration = .seconds(1)) {
        self.maximum = maximum
        self.maximumPerUser = maximumPerUser
        self.privileged = privileged
        self.blockedTime = blockedTime
    }

    /// Accepts a connection, closing another if necessary. O(connections).
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
        case .blocked: now - entry.since >= blockedTime
        }
    }

    /// Records the present activity of a connection.
    func set(_ id: Int, _ activity: Activity, now: ContinuousClock.Instant = .now) {
        state.withLock {
            $0.entries[id]?.activity = activity
            $0.entries[id]?.since = now
        }
    }

    /// Removes a connection that was closed.
    func remove(_ id: Int) {
        state.withLock { $0.entries[id] = nil }
    }

    /// Accepts no more connections, and closes those without a request.
    func drain() {
        let waiting = state.withLock { state in
            state.isDraining = true
            return state.entries.values.filter { $0.activity == .waiting }
        }
        for entry in waiting { entry.close() }
    }

    /// Closes all connections.
    func closeAll() {
        let all = state.withLock { Array($0.entries.values) }
        for entry in all { entry.close() }
    }

    /// Whether the server is shutting down, so that answers have `Connection: close`.
    var isDraining: Bool { state.withLock { $0.isDraining } }

    /// Connections now, and since the start: accepted, refused, closed in favour of new ones.
    var counts: (open: Int, total: Int, refused: Int, evicted: Int) {
        state.withLock { ($0.entries.count, $0.total, $0.refused, $0.evicted) }
    }
}
