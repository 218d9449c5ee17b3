import Foundation

/// The CPU's features by the names of /proc/cpuinfo; nil where it lists none. The kernel lists what the CPU has and the
/// system lets programs use.
package func cpuFlags() -> Set<String>? {
    let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("flags") }
    return line.map { Set($0.split(separator: " ").map(String.init)) }
}
