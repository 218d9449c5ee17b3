import CKernels

/// A SIMD width that the loops of CKernels are compiled for. All widths give the same bits.
package enum SIMDWidth: Int32, Sendable, CaseIterable {
    case avx512, avx2, plain

    /// Whether this CPU supports it.
    package var isSupported: Bool { letter_supports(rawValue) != 0 }

    /// The widths that this CPU supports, the widest first.
    package static let supported = allCases.filter(\.isSupported)
    /// The widest that this CPU supports.
    package static let widest = supported.first ?? .plain

    /// The name for reports: `AVX-512`, `AVX2` or `plain`.
    package var name: String {
        switch self {
        case .avx512: "AVX-512"
        case .avx2: "AVX2"
        case .plain: "plain"
        }
    }
}

/// The instruction sets of a CPU that decide which kernels of OpenBLAS it can execute.
package struct CPUFeatures: OptionSet, Sendable, Hashable {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// AVX2 and FMA: enough for the Haswell kernels.
    package static let avx2 = CPUFeatures(rawValue: Int32(LETTER_CPU_AVX2))
    /// The AVX-512 extensions F, CD, DQ, BW and VL: enough, together with `avx2`, for the SkylakeX kernels.
    package static let avx512 = CPUFeatures(rawValue: Int32(LETTER_CPU_AVX512))

    /// The features of this CPU, from CPUID, as far as the operating system lets programs use them; none on CPUs other
    /// than x86-64.
    package static let current = CPUFeatures(rawValue: letter_cpu_features())
}
