import Files
import Glibc
import Testing

/// Runs a test with a new directory, removed afterwards.
func withTemporaryDirectory<R>(_ body: (String) throws -> R) throws -> R {
    var template = Array("/tmp/letter-files-XXXXXX".utf8CString)
    let made = mkdtemp(&template)
    let path = try #require(made.map { String(cString: $0) })
    defer { try? FileSystem.removeTree(path) }
    return try body(path)
}
