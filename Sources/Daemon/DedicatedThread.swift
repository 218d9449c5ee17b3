internal import CLinux
internal import Dispatch
internal import Glibc
internal import Synchronization

/// A thread of its own for an actor whose methods block: LMDB, SQLite and BLAS never run on the cooperative pool.
///
/// Lives as long as the process: an actor's executor must outlast the actor.
final class DedicatedThread: SerialExecutor {
    private let name: String
    private let jobs = Mutex<[UnownedJob]>([])
    /// Counts the jobs that wait.
    private let waiting = DispatchSemaphore(value: 0)
    /// The thread, once it runs.
    private let identity = Atomic<UInt>(0)
    /// What is done when there was nothing else to do for a while.
    private let tick = Mutex<Tick?>(nil)

    private struct Tick: Sendable {
        var interval: Duration
        var body: @Sendable () -> Void
    }

    /// Starts the thread.
    ///
    /// - Parameter name: shown by `ps -L`; at most 15 bytes.
    init(name: String) {
        self.name = name
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self).toOpaque()
        let result = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<DedicatedThread>.fromOpaque(context).takeUnretainedValue().loop()
                return nil
            }, context)
        precondition(result == 0, "cannot start the thread \(name): \(String(cString: strerror(result)))")
        letter_name_thread(thread, name)
    }

    /// Calls `body` on this thread each time it has had nothing to do for `interval`; nil ends that.
    ///
    /// One timed wait of one thread: a look at the catalog by a sleeping task would wake three threads, twenty times a
    /// second. Set from a job of this thread.
    func whenIdle(for interval: Duration, _ body: (@Sendable () -> Void)?) {
        tick.withLock { $0 = body.map { Tick(interval: interval, body: $0) } }
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
            if let tick = tick.withLock({ $0 }) {
                let nanoseconds = Int(tick.interval.seconds * 1e9)
                guard waiting.wait(timeout: .now() + .nanoseconds(nanoseconds)) == .success else {
                    tick.body()
                    continue
                }
            } else {
                waiting.wait()
            }
            let job = jobs.withLock { $0.removeFirst() }
            job.runSynchronously(on: executor)
        }
    }
}

/// Runs blocking closures on a few threads of their own, in turn: the readers of the index.
final class BlockingPool: Sendable {
    private actor Worker {
        private let thread: DedicatedThread
        nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

        init(name: String) { thread = DedicatedThread(name: name) }

        func run<R: Sendable>(_ body: @Sendable () throws -> R) rethrows -> R { try body() }
    }

    private let workers: [Worker]
    private let next = Atomic<Int>(0)

    /// A pool of `threads` threads.
    init(name: String, threads: Int) {
        workers = (0..<max(1, threads)).map { Worker(name: "\(name)-\($0)") }
    }

    /// Runs `body` on one of the threads, after what it was given before.
    func run<R: Sendable>(_ body: @Sendable () throws -> R) async rethrows -> R {
        let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return try await workers[Int(UInt(bitPattern: turn) % UInt(workers.count))].run(body)
    }
}
