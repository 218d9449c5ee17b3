import Synchronization

/// Counts the reads under way on an index, so that it is closed only after the last of them, and no later one begins.
final class ReadGate: Sendable {
    private enum State {
        case open(reads: Int)
        /// No read may begin any more; the continuation is resumed when the last one ends.
        case closing(reads: Int, CheckedContinuation<Void, Never>)
        case closed
    }

    private let state = Mutex(State.open(reads: 0))

    /// Begins a read; false if the gate is closed. Each true needs a `leave()`.
    func enter() -> Bool {
        state.withLock { state in
            guard case .open(let reads) = state else { return false }
            state = .open(reads: reads + 1)
            return true
        }
    }

    /// Ends a read.
    func leave() {
        let waiting: CheckedContinuation<Void, Never>? = state.withLock { state in
            switch state {
            case .open(let reads):
                state = .open(reads: reads - 1)
                return nil
            case .closing(let reads, let continuation):
                state = reads > 1 ? .closing(reads: reads - 1, continuation) : .closed
                return reads > 1 ? nil : continuation
            case .closed: return nil
            }
        }
        waiting?.resume()
    }

    /// Lets no more reads begin, and returns when those under way have ended. One caller.
    func close() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                guard case .open(let reads) = state, reads > 0 else {
                    state = .closed
                    return true
                }
                state = .closing(reads: reads, continuation)
                return false
            }
            if isIdle { continuation.resume() }
        }
    }
}
