import Glibc
import Numerics

/// Chooses OpenBLAS's kernels for this process. Every program that multiplies matrices through OpenBLAS calls `apply` first.
package enum KernelSelection {
    /// Executes this program again with the best kernels for the CPU if others are in use; otherwise returns.
    ///
    /// OpenBLAS chooses its kernels when it is loaded, before `main`, and reads OPENBLAS_CORETYPE only then. So the variable
    /// is set and the same program is executed in the same process, with the same arguments and environment. The second
    /// execution takes the variable out of its environment again, so that child processes do not inherit it.
    ///
    /// Returns if the kernels in use are the best ones, if the user set OPENBLAS_CORETYPE, if this is the second execution,
    /// and if the system refuses to execute the program. A second execution costs 7 ms, in which the libraries are loaded
    /// again. To be called before a file is opened that the second execution must not inherit, and before a thread starts.
    package static func apply() {
        begin(KernelProcess(), features: .current, inUse: BLASKernels.name)
    }

    /// The kernels in use in this process. To be asked after `apply`.
    package static var report: KernelReport {
        KernelReport(features: .current, inUse: BLASKernels.name, requested: KernelProcess().variable(coreType))
    }

    /// OpenBLAS's variable.
    static let coreType = "OPENBLAS_CORETYPE"
    /// Our variable, set for the second execution alone. Its value is the number of the process, which stays the same when
    /// a program is executed; a process that inherited the variable from another one has another number.
    static let marker = "LETTER_KERNELS_CHOSEN_BY"

    /// `apply` for any process, so that tests can give one that executes nothing.
    static func begin(_ process: some KernelProcessAccess, features: CPUFeatures, inUse: String) {
        let isRestart = process.variable(marker) == process.number
        process.set(marker, nil)
        if isRestart { process.set(coreType, nil) }
        let decision = KernelDecision(
            features: features, inUse: inUse, requested: process.variable(coreType), isRestart: isRestart)
        guard case .restart(let kernels) = decision else { return }
        process.set(coreType, kernels)
        process.set(marker, process.number)
        process.execute()
        // Still here: the execution failed, and the program goes on with the kernels that it has.
        process.set(coreType, nil)
        process.set(marker, nil)
    }
}

/// What the choice of kernels needs of a process.
protocol KernelProcessAccess {
    /// The number of the process, in decimal.
    var number: String { get }
    /// The value of an environment variable; nil if it is not set.
    func variable(_ name: String) -> String?
    /// Sets an environment variable, or removes it.
    func set(_ name: String, _ value: String?)
    /// Executes the same program with the same arguments; returns only if the system refuses.
    func execute()
}

/// This process.
private struct KernelProcess: KernelProcessAccess {
    var number: String { "\(getpid())" }

    func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    func set(_ name: String, _ value: String?) {
        if let value { setenv(name, value, 1) } else { unsetenv(name) }
    }

    func execute() {
        // The real path and not /proc/self/exe, so that the process keeps its name.
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        guard readlink("/proc/self/exe", &path, Int(PATH_MAX)) > 0 else { return }
        execv(path, CommandLine.unsafeArgv)
    }
}
