import Foundation

/// Real catalogs and golden numbers that are not part of the project: `LETTER_SHARED`, else `shared` next to the checkout.
package enum SharedData {
    /// The folder, or nil if it is absent.
    package static let root: String? = {
        let environment = ProcessInfo.processInfo.environment["LETTER_SHARED"]
        let beside = packageRoot + "/../shared"
        return [environment, beside].compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0 + "/data") }
    }()

    /// Whether the data is there; tests that need it are disabled, visibly, where it is not.
    package static var isPresent: Bool { root != nil }

    /// A file in the folder.
    package static func path(_ name: String) -> String { (root ?? "/nonexistent") + "/" + name }

    /// The checkout that the tests were built from.
    package static let packageRoot: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }()
}
