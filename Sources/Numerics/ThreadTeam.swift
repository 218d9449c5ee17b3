import CKernels
import Glibc
import Synchronization

/// Threads that stand ready to help the one that calls them.
///
/// A training step has a hundred sections of 20 µs to 2 ms that are worth parting. To wake a sleeping thread takes 25 to
/// 50 µs here, so helpers wait for the next section awake for a moment before they sleep.
final class ThreadTeam: Sendable {
    /// The one team of the process. It helps one caller at a time; its threads are made when they are first needed and
    /// live as long as the process.
    static let shared = ThreadTeam()

    private let isBusy = Atomic(false)
    /// Touched only by the one for whom the team is busy.
    nonisolated(unsafe) private var helpers: [Helper] = []

    /// Calls `body` with 0, 1, …, `parts` − 1, the first on this thread and the others on one each; returns when all have
    /// returned. Where the team helps somebody else already, or this is one of its calls, all run on this thread in turn; so
    /// do those for which the system gives no thread.
    func run(_ parts: Int, _ body: (Int) -> Void) {
        guard parts > 1, isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else {
            for part in 0..<parts { body(part) }
            return
        }
        defer { isBusy.store(false, ordering: .releasing) }
        while helpers.count < parts - 1, let helper = Helper(number: helpers.count + 1) { helpers.append(helper) }
        withoutActuallyEscaping(body) { body in
            for helper in helpers.prefix(parts - 1) { helper.start(body) }
            body(0)
            for part in min(helpers.count + 1, parts)..<parts { body(part) }
            for helper in helpers.prefix(parts - 1) { helper.wait() }
        }
    }
}

/// A thread of a team, and the one call that it is to make or has made.
///
/// Unchecked Sendable: `body` is written by the team's user before `asked` grows and read by the thread after that; the
/// user writes it again only when `answered` has caught up. `mutex` and `changed` are for the sleep alone.
private final class Helper: @unchecked Sendable {
    private let number: Int
    private var body: ((Int) -> Void)?
    private let asked = Atomic<Int>(0)
    private let answered = Atomic<Int>(0)
    private let sleeps = Atomic(false)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Looks before a waiting thread sleeps, or gives way: about 50 µs.
    private static let looks = 2_000

    /// Starts the thread; nil if the system gives none.
    init?(number: Int) {
        self.number = number
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(changed, nil)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        // OpenBLAS needs a little stack, closures of ours less.
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

    func start(_ body: @escaping (Int) -> Void) {
        self.body = body
        asked.add(1, ordering: .sequentiallyConsistent)
        guard sleeps.load(ordering: .sequentiallyConsistent) else { return }
        pthread_mutex_lock(mutex)
        pthread_cond_signal(changed)
        pthread_mutex_unlock(mutex)
    }

    /// Waits until the call that was started last has returned.
    func wait() {
        let goal = asked.load(ordering: .relaxed)
        var looks = 0
        while answered.load(ordering: .acquiring) != goal {
            looks += 1
            // Where there are more threads than processors, this one may be in the helper's way.
            if looks < Self.looks { letter_pause() } else { sched_yield() }
        }
        body = nil
    }

    private func work() -> Never {
        var done = 0
        while true {
            var looks = 0
            while asked.load(ordering: .acquiring) == done {
                looks += 1
                if looks < Self.looks { letter_pause() } else { sleep(until: done) }
            }
            body?(number)
            done += 1
            answered.store(done, ordering: .releasing)
        }
    }

    /// Sleeps while nothing more than `done` calls was asked for.
    private func sleep(until done: Int) {
        pthread_mutex_lock(mutex)
        sleeps.store(true, ordering: .sequentiallyConsistent)
        while asked.load(ordering: .sequentiallyConsistent) == done { pthread_cond_wait(changed, mutex) }
        sleeps.store(false, ordering: .relaxed)
        pthread_mutex_unlock(mutex)
    }
}
