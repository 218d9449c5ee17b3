import Foundation

/// A folder of its own for a test, short enough for socket paths; removed when the last reference goes.
package final class TemporaryDirectory: Sendable {
    /// The folder.
    package let path: String

    package init() {
        path = "/tmp/lt-" + String(UInt64.random(in: 0..<(1 << 40)), radix: 36)
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        } catch {
            preconditionFailure("cannot make \(path): \(error)")
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A path in it.
    package subscript(_ name: String) -> String { path + "/" + name }
}

/// Runs a test with a new folder, removed afterwards.
package func withTemporaryDirectory<R>(_ body: (String) throws -> R) rethrows -> R {
    let directory = TemporaryDirectory()
    return try withExtendedLifetime(directory) { try body(directory.path) }
}
