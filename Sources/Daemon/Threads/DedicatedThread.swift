import CLinux
import Dispatch
import Glibc
import Synchronization

/// A dedicated thread for actors whose methods block: LMDB, SQLite and BLAS never run on the cooperative pool.
///
/// Several actors may share one; their methods then take turns. Lives as long as the process, for an actor's executor
/// must outlast the actor: threads are made at start, never with what comes and goes.
final class DedicatedThread: SerialExecutor {
    private let name: String
    private let jobs = Mutex<[UnownedJob]>([])
    /// Counts the jobs that wait.
    private let waiting = DispatchSemaphore(value: 0)
    /// The thread, once it runs.
    private let identity = Atomic<UInt>(0)
    /// What is repeated between the jobs.
    private let tick = Mutex<Tick?>(nil)

    private struct Tick: Sendable {
        /// Nanoseconds, of the monotonic clock: plain numbers, which cost less to pass than a clock's instants.
        var interval: Int
        var due: Int
        var body: @Sendable () -> Void
    }

    /// Starts the thread.
    ///
    /// - Parameter name: shown by `ps -L`; at most 15 bytes.
    init(name: String) {
        self.name = name
        startThread(name: name) { self.loop() }
    }

    /// Calls `body` on this thread every `interval` between its jobs, from an interval on from now; nil ends that.
    ///
    /// One timed wait of one thread: a poll by a sleeping task would wake three threads, twenty times a second. Set from a job of this thread.
    func every(_ interval: Duration, _ body: (@Sendable () -> Void)?) {
        let nanoseconds = Int(interval.seconds * 1e9)
        tick.withLock {
            $0 = body.map { Tick(interval: nanoseconds, due: monotonicNanoseconds() + nanoseconds, body: $0) }
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        waiting.signal()
    }

    func checkIsolated() {
        precondition(identity.load(ordering: .relaxed) == pthread_self(), "not on the thread \(name)")
    }

    private func loop() {
        identity.store(pthread_self(), ordering: .relaxed)
        let executor = asUnownedSerialExecutor()
        while true {
            if let next = tick.withLock({ $0 }) {
                // The time is absolute: a thread that is never idle must still poll the catalog.
                let rest = max(0, next.due - monotonicNanoseconds())
                let come = waiting.wait(timeout: .now() + .nanoseconds(rest)) == .success
                let now = monotonicNanoseconds()
                if now >= next.due {
                    tick.withLock { $0?.due = now + next.interval }
                    next.body()
                }
                guard come else { continue }
            } else {
                waiting.wait()
            }
            let job = jobs.withLock { $0.removeFirst() }
            job.runSynchronously(on: executor)
        }
    }
}

/// Nanoseconds of a clock that only goes forward, and stands while the machine is suspended.
func monotonicNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Runs blocking closures on a few threads of their own, whichever is free first.
final class BlockingPool: Sendable {
    private let closures = Mutex<[@Sendable () -> Void]>([])
    /// Counts the closures that wait.
    private let waiting = DispatchSemaphore(value: 0)

    /// A pool of `threads` threads, which live as long as the process.
    init(name: String, threads: Int) {
        for number in 0..<max(1, threads) {
            startThread(name: "\(name)-\(number)") {
                while true {
                    self.waiting.wait()
                    self.closures.withLock { $0.removeFirst() }()
                }
            }
        }
    }

    /// Runs `body` on one of the threads, after what waits already.
    func run<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            start { continuation.resume(with: Result { try body() }) }
        }
    }

    /// Has `body` run on one of the threads, after what waits already, and returns at once.
    func start(_ body: @escaping @Sendable () -> Void) {
        closures.withLock { $0.append(body) }
        waiting.signal()
    }
}

/// Starts a thread that never ends. All threads are started when the daemon starts.
private func startThread(name: String, _ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let result = pthread_create(
        &thread, nil,
        { box in
            if let box { Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body() }
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    precondition(result == 0, "cannot start the thread \(name): \(String(cString: strerror(result)))")
    letter_name_thread(thread, name)
}
