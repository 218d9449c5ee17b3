import Glibc
import Synchronization

/// Whether SIGTERM or SIGINT has asked a command to stop. The first asks; the second ends the process at once, as ever.
enum StopSignal {
    /// A global, because a handler can reach nothing else.
    private static let asked = Atomic(false)

    /// From here on the two signals only ask.
    static func listen() {
        // Made now: making it within the handler would not be safe.
        asked.store(false, ordering: .sequentiallyConsistent)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in StopSignal.asked.store(true, ordering: .sequentiallyConsistent) }
        action.sa_flags = resetHandler | SA_RESTART
        // Blocked signals are inherited: a parent that starts processes from a thread which has them blocked, as Swift's
        // concurrency runtimes do, would make this one deaf.
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

    /// Whether one has come.
    static var isAsked: Bool { asked.load(ordering: .sequentiallyConsistent) }
}
