import Glibc
import Synchronization

/// Whether SIGTERM or SIGINT has asked a command to stop. The first signal asks; the second ends the process at once.
enum StopSignal {
    /// A global, because a signal handler can reach nothing else.
    private static let asked = Atomic(false)

    /// From now on the first of the two signals only asks.
    static func listen() {
        // Initialised now: initialising it in the handler would not be safe.
        asked.store(false, ordering: .sequentiallyConsistent)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in StopSignal.asked.store(true, ordering: .sequentiallyConsistent) }
        action.sa_flags = resetHandler | SA_RESTART
        // Blocked signals are inherited: a parent that starts processes from a thread which blocks them, as Swift's
        // concurrency runtime does, would keep them from this one.
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT] {
            sigaction(signal, &action, nil)
            sigaddset(&signals, signal)
        }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    /// SA_RESETHAND, which Swift imports as a number that does not fit its field.
    private static let resetHandler = Int32(bitPattern: 0x8000_0000)

    /// Whether one of them was received.
    static var isAsked: Bool { asked.load(ordering: .sequentiallyConsistent) }
}
