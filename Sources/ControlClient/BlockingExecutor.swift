import Dispatch

/// A thread of its own for work that blocks, so that the cooperative pool never does: the executor of an actor whose
/// calls block, or the preferred executor of a task.
package final class BlockingExecutor: SerialExecutor, TaskExecutor {
    private let queue: DispatchQueue

    /// - Parameter name: the name of the queue, for debuggers.
    package init(name: String) {
        queue = DispatchQueue(label: "letter.\(name)")
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async {
            job.runSynchronously(
                isolatedTo: self.asUnownedSerialExecutor(), taskExecutor: self.asUnownedTaskExecutor())
        }
    }
}
