import Numerics
import TestSupport
import Testing

@testable import KernelSelection

/// The choice of OpenBLAS's kernels, over forced guesses and CPUs.
@Suite struct KernelSelectionTests {
    /// A CPU's features, what OpenBLAS may guess, and the kernels that must be used in the end.
    private static let cases: [(features: CPUFeatures, guess: String, best: String)] = {
        let slow = ["Prescott", "Core2", "Nehalem", "Sandybridge", "Barcelona", "Excavator", "Unknown", "NewCPU9", ""]
        var cases: [(CPUFeatures, String, String)] = []
        for guess in slow + ["Haswell", "Zen"] { cases.append(([.avx2, .avx512], guess, "SkylakeX")) }
        for guess in ["SkylakeX", "Cooperlake", "SapphireRapids"] { cases.append(([.avx2, .avx512], guess, guess)) }
        for guess in slow + ["SkylakeX", "Cooperlake"] { cases.append((.avx2, guess, "Haswell")) }
        for guess in ["Haswell", "Zen"] { cases.append((.avx2, guess, guess)) }
        // Neither: older x86-64, and every CPU of another family.
        for guess in slow + ["Haswell", "SkylakeX", "armv8", "neoversen1", "POWER9"] {
            cases.append(([], guess, guess))
        }
        return cases
    }()

    @Test(arguments: cases)
    func `the kernels follow from what the CPU can execute, whatever OpenBLAS guessed`(
        features: CPUFeatures, guess: String, best: String
    ) {
        let decision = KernelDecision(features: features, inUse: guess, requested: nil, isRestart: false)
        #expect(decision == (guess == best ? .keep : .restart(kernels: best)))
        let report = KernelReport(features: features, inUse: guess, requested: nil)
        #expect(report.best == best && report.isBest == (guess == best))
        #expect((report.remedy == nil) == report.isBest && report.line.contains(guess) && report.line.contains(best))
    }

    @Test(arguments: cases)
    func `a user's choice and a second start are never changed`(
        features: CPUFeatures, guess: String, best: String
    ) {
        for requested in [guess, "Prescott", "nonsense", ""] {
            for isRestart in [false, true] {
                #expect(
                    KernelDecision(features: features, inUse: guess, requested: requested, isRestart: isRestart)
                        == .keep)
            }
        }
        #expect(KernelDecision(features: features, inUse: guess, requested: nil, isRestart: true) == .keep)
    }

    @Test func `slower kernels are reported with their reason, the better ones and what to do`() {
        let chosen = KernelReport(features: [.avx2, .avx512], inUse: "Prescott", requested: "Prescott")
        #expect(chosen.line.hasPrefix("warning: ") && chosen.line.contains("OPENBLAS_CORETYPE is 'Prescott'"))
        #expect(chosen.line.contains("SkylakeX") && chosen.remedy?.contains("Unset OPENBLAS_CORETYPE") == true)
        let missing = KernelReport(features: .avx2, inUse: "Nehalem", requested: nil)
        #expect(missing.remedy?.contains("DYNAMIC_ARCH") == true && !missing.line.contains("OPENBLAS_CORETYPE"))
        let best = KernelReport(features: .avx2, inUse: "Haswell", requested: nil)
        #expect(best.line == "OpenBLAS kernels: Haswell")
    }

    // MARK: - Starts

    /// A process that records what is executed.
    private final class FakeProcess: KernelProcessAccess {
        let number = "4711"
        var environment: [String: String]
        /// The environment of each execution.
        var executions: [[String: String]] = []

        init(_ environment: [String: String] = [:]) { self.environment = environment }

        func variable(_ name: String) -> String? { environment[name] }
        func set(_ name: String, _ value: String?) { environment[name] = value }
        func execute() { executions.append(environment) }
    }

    @Test func `a start with slow kernels executes the program once, and the second start cleans its environment`() {
        let first = FakeProcess(["PATH": "/bin"])
        KernelSelection.begin(first, features: [.avx2, .avx512], inUse: "Prescott")
        #expect(first.executions.count == 1)
        let inherited = first.executions.first ?? [:]
        #expect(inherited[KernelSelection.coreType] == "SkylakeX" && inherited[KernelSelection.marker] == "4711")
        // The execution returned, so it was refused: as if nothing had been tried.
        #expect(first.environment == ["PATH": "/bin"])
        // A library that lacks these kernels gives others again; that must not loop.
        for kernels in ["SkylakeX", "Prescott"] {
            let second = FakeProcess(inherited)
            KernelSelection.begin(second, features: [.avx2, .avx512], inUse: kernels)
            #expect(second.executions.isEmpty && second.environment == ["PATH": "/bin"])
        }
    }

    @Test func `a variable that the user set stays in the environment, and nothing is executed`() {
        let process = FakeProcess([KernelSelection.coreType: "Prescott"])
        KernelSelection.begin(process, features: [.avx2, .avx512], inUse: "Prescott")
        #expect(process.executions.isEmpty && process.environment == [KernelSelection.coreType: "Prescott"])
    }

    @Test func `another process's mark is not taken for this one's`() {
        let process = FakeProcess([KernelSelection.marker: "4710"])
        KernelSelection.begin(process, features: .avx2, inUse: "Nehalem")
        #expect(process.executions.count == 1)
        #expect(process.executions.first?[KernelSelection.coreType] == "Haswell")
        #expect(process.environment.isEmpty)
    }

    @Test func `the best kernels, and a CPU of another family, execute nothing`() {
        for (features, kernels) in [([.avx2, .avx512], "Cooperlake"), (.avx2, "Zen"), ([], "armv8")]
            as [(CPUFeatures, String)]
        {
            let process = FakeProcess()
            KernelSelection.begin(process, features: features, inUse: kernels)
            #expect(process.executions.isEmpty && process.environment.isEmpty)
        }
    }

    @Test func `the features of this CPU are those that the kernel lists`() throws {
        #if arch(x86_64)
            let flags = try #require(cpuFlags())
            #expect(CPUFeatures.current.contains(.avx2) == flags.isSuperset(of: ["avx2", "fma"]))
            #expect(
                CPUFeatures.current.contains(.avx512)
                    == flags.isSuperset(
                        of: ["avx2", "fma", "avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"]))
        #else
            #expect(CPUFeatures.current.isEmpty)
        #endif
    }
}
