package import Numerics

/// What to do about OpenBLAS's kernels when a program starts.
package enum KernelDecision: Sendable, Equatable {
    /// Go on with the kernels in use.
    case keep
    /// Execute the program again with these kernels.
    case restart(kernels: String)

    /// Decides by what the CPU can execute, whatever OpenBLAS chose: OpenBLAS recognises CPUs by their model numbers, and
    /// takes kernels for a CPU of twenty years ago on models that it does not know.
    ///
    /// - Parameters:
    ///   - features: what the CPU supports.
    ///   - inUse: OpenBLAS's name for the kernels in use.
    ///   - requested: the user's OPENBLAS_CORETYPE, nil if it is not set. Any value is respected, an empty one too.
    ///   - isRestart: whether this is the second execution, which must not start a third.
    package init(features: CPUFeatures, inUse: String, requested: String?, isRestart: Bool) {
        let best = KernelReport.best(features: features, inUse: inUse)
        self = best == inUse || requested != nil || isRestart ? .keep : .restart(kernels: best)
    }
}

/// The kernels that OpenBLAS uses in this process, compared with the best ones for this CPU.
package struct KernelReport: Sendable, Equatable {
    /// OpenBLAS's name for the kernels in use, such as `SkylakeX`.
    package let inUse: String
    /// The best kernels for this CPU; the same name if no better ones are known.
    package let best: String
    /// The user's OPENBLAS_CORETYPE; nil if it is not set.
    package let requested: String?

    /// Compares the kernels in use with those that the CPU can execute.
    package init(features: CPUFeatures, inUse: String, requested: String?) {
        self.inUse = inUse
        best = Self.best(features: features, inUse: inUse)
        self.requested = requested
    }

    /// Whether the kernels in use are the best ones.
    package var isBest: Bool { inUse == best }

    /// The kernels to use with these features: `inUse` if it is among the fastest, otherwise the name of better ones.
    ///
    /// Kernels of one line are equally fast in the products of this program; Docs/decisions/0006-kernels.md has the figures.
    package static func best(features: CPUFeatures, inUse: String) -> String {
        let fastest: [String] =
            if features.contains([.avx2, .avx512]) {
                ["SkylakeX", "Cooperlake", "SapphireRapids"]
            } else if features.contains(.avx2) {
                ["Haswell", "Zen"]
            } else {
                []
            }
        return fastest.isEmpty || fastest.contains(inUse) ? inUse : fastest[0]
    }

    /// One line for people, such as `OpenBLAS kernels: SkylakeX`; a warning with a remedy if they are not the best.
    package var line: String {
        (isBest ? "" : "warning: ") + "OpenBLAS kernels: \(detail)" + (remedy.map { ". \($0)" } ?? "")
    }

    /// The name of the kernels, and the better ones if there are any.
    package var detail: String {
        if isBest { return inUse }
        let reason = requested.map { ", because OPENBLAS_CORETYPE is '\($0)'" } ?? ""
        return "\(inUse)\(reason); this CPU can execute \(best), which are faster"
    }

    /// What to do about kernels that are not the best; nil if they are.
    package var remedy: String? {
        if isBest { return nil }
        return requested == nil
            ? "Install an OpenBLAS that has kernels for several CPUs (built with DYNAMIC_ARCH), such as Debian's."
            : "Unset OPENBLAS_CORETYPE, so that Letter chooses the kernels."
    }
}
