import COpenBLAS
import Glibc

/// Which of OpenBLAS's kernels this process uses, and the choice of better ones.
package enum BLASKernels {
    /// Name of the kernels in use, such as `SkylakeX`. Results may differ in the last bits between kernels.
    package static var name: String { openblas_get_corename().map { String(cString: $0) } ?? "unknown" }

    /// Starts this program again with the AVX-512 kernels, where the CPU has AVX-512 and OpenBLAS did not choose them.
    ///
    /// OpenBLAS 0.3.21 takes the Haswell kernels on CPUs that it does not know, and reads its environment only when it
    /// is loaded; so the variable is set and the same program executed with the same arguments, in the same process.
    /// To be called first of all, while there is one thread of ours and no open file. Returns where there is nothing to
    /// gain or the system refuses, and also where OPENBLAS_CORETYPE is set, which ends the second start.
    package static func reexecuteWithBestKernels() {
        guard getenv("OPENBLAS_CORETYPE") == nil, ["Haswell", "Zen"].contains(name), hasAVX512() else { return }
        setenv("OPENBLAS_CORETYPE", "SkylakeX", 1)
        // The real path rather than /proc/self/exe, so that the process keeps its name.
        var path = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink("/proc/self/exe", &path, Int(PATH_MAX))
        if length > 0 { execv(path, CommandLine.unsafeArgv) }
        // Still here: the start failed, and the kernels at hand will do.
        unsetenv("OPENBLAS_CORETYPE")
    }

    /// Whether the CPU has the parts of AVX-512 that the SkylakeX kernels use.
    static func hasAVX512() -> Bool {
        let descriptor = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16384)
        var length = 0
        while length < bytes.count {
            let count = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + length, $0.count - length) }
            if count <= 0 { break }
            length += count
        }
        let flags = String(decoding: bytes[..<length], as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix("flags") }?.split(separator: " ")
        guard let flags else { return false }
        return Set(["avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"]).isSubset(
            of: Set(flags.map(String.init)))
    }
}
