import CKernels
import Glibc
import Synchronization

/// Threads that wait for work, so that a short piece of it can be split.
///
/// A training step has about a hundred parallel sections of 20 µs to 2 ms. Waking a sleeping thread costs 25 to 50 µs, so
/// a helper spins for about 50 µs after its work, waiting for the next section, before it sleeps.
final class ThreadTeam: Sendable {
    /// The team of the process. It serves one caller at a time. Its threads start when they are first needed and never end.
    static let shared = ThreadTeam()

    private let isBusy = Atomic(false)
    /// Read and written only by the caller that set `isBusy`.
    nonisolated(unsafe) private var helpers: [Helper] = []

    /// Calls `body` with 0, 1, …, `count` − 1: 0 on this thread, each other number on a thread of its own. Returns when all
    /// calls have returned. If the team is busy, or this is a nested call, all calls run on this thread, one after another;
    /// so do those for which no thread can be created.
    func run(_ count: Int, _ body: (Int) -> Void) {
        guard count > 1, isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
            for number in 0..<count { body(number) }
            return
        }
        defer { isBusy.store(false, ordering: .releasing) }
        while helpers.count < count - 1, let helper = Helper(number: helpers.count + 1) { helpers.append(helper) }
        withoutActuallyEscaping(body) { body in
            for helper in helpers.prefix(count - 1) { helper.start(body) }
            body(0)
            for number in min(helpers.count + 1, count)..<count { body(number) }
            for helper in helpers.prefix(count - 1) { helper.wait() }
        }
    }
}

/// A thread of a team, and the call that it has to make.
///
/// Unchecked Sendable: the caller writes `body` before it increments `requested`, and the thread reads it after that; the
/// caller writes it again only once `completed` has caught up. `mutex` and `changed` serve the sleep alone.
private final class Helper: @unchecked Sendable {
    private let number: Int
    private var body: ((Int) -> Void)?
    private let requested = Atomic<Int>(0)
    private let completed = Atomic<Int>(0)
    /// Whether the thread sleeps, or is about to, so that the caller must signal it.
    private let sleeps = Atomic(false)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Times that a waiting thread reads the counter before it sleeps or yields: about 50 µs.
    private static let spins = 2_000

    /// Starts the thread; nil if the system refuses.
    init?(number: Int) {
        self.number = number
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        // 2 MiB: OpenBLAS needs some stack, our closures less.
        pthread_attr_setstacksize(&attributes, 1 << 21)
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let retained = Unmanaged.passRetained(self)
        let result = pthread_create(
            &thread, &attributes,
            { (helper) -> UnsafeMutableRawPointer? in
                Unmanaged<Helper>.fromOpaque(helper!).takeRetainedValue().work()
            }, retained.toOpaque())
        guard result == 0 else {
            retained.release()
            return nil
        }
    }

    deinit {
        mutex.deallocate()
        changed.deallocate()
    }

    /// Makes the thread call `body` with its number.
    func start(_ body: @escaping (Int) -> Void) {
        self.body = body
        requested.add(1, ordering: .sequentiallyConsistent)
        guard sleeps.load(ordering: .sequentiallyConsistent) else { return }
        pthread_mutex_lock(mutex)
        pthread_cond_signal(changed)
        pthread_mutex_unlock(mutex)
    }

    /// Waits until the last call has returned.
    func wait() {
        let goal = requested.load(ordering: .relaxed)
        var spins = 0
        while completed.load(ordering: .acquiring) != goal {
            spins += 1
            // With more threads than CPUs this one may occupy the CPU that the helper needs.
            if spins < Self.spins { letter_pause() } else { sched_yield() }
        }
        body = nil
    }

    private func work() -> Never {
        var done = 0
        while true {
            var spins = 0
            while requested.load(ordering: .acquiring) == done {
                spins += 1
                if spins < Self.spins { letter_pause() } else { sleep(until: done) }
            }
            body?(number)
            done += 1
            completed.store(done, ordering: .releasing)
        }
    }

    /// Sleeps until more than `done` calls have been requested.
    private func sleep(until done: Int) {
        pthread_mutex_lock(mutex)
        sleeps.store(true, ordering: .sequentiallyConsistent)
        while requested.load(ordering: .sequentiallyConsistent) == done { pthread_cond_wait(changed, mutex) }
        sleeps.store(false, ordering: .relaxed)
        pthread_mutex_unlock(mutex)
    }
}
