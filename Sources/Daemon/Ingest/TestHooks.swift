import Glibc
import Core

/// Faults that tests cause through the environment, where nothing from outside could; none of them does anything where
/// its variable is not set. Docs/contributor.md names them.
enum TestHooks {
    /// Encoding the item with this id ends the process, as a defect in the encoder would.
    private static let poison = value("LETTER_TEST_POISON").map { ItemID(text: $0) } ?? nil
    /// Encoding a block takes so many milliseconds longer.
    private static let delay = value("LETTER_TEST_ENCODE_DELAY").flatMap { UInt32($0) }

    /// Called before each block is encoded.
    static func encoding(_ items: [ItemID]) {
        if let delay { usleep(1_000 * delay) }
        if let poison, items.contains(poison) { abort() }
    }

    private static func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
