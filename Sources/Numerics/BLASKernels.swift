import COpenBLAS

/// The kernels that OpenBLAS uses in this process: its loops for one family of CPUs, chosen when the library is loaded.
/// The target KernelSelection compares them with the best for the CPU.
package enum BLASKernels {
    /// OpenBLAS's name for them, such as `SkylakeX`. Products may differ in the last bits between kernels.
    package static var name: String { openblas_get_corename().map { String(cString: $0) } ?? "unknown" }
}
