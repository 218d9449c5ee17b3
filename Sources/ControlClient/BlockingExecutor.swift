import Dispatch

/// A queue of its own for an actor whose calls block, so that the cooperative pool never does.
final class BlockingExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "letter.control-client")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
