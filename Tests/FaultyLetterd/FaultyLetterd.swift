import Core
import Daemon
import Glibc
import LetterdCommand

/// letterd with the faults that its environment asks for: what only a defect could cause, for end-to-end tests.
///
/// - `LETTER_TEST_POISON=ITEM`: encoding that item crashes the process.
/// - `LETTER_TEST_ENCODE_DELAY=MS`: encoding a block takes that much longer.
@main
enum FaultyLetterd {
    static func main() async {
        let poison = value("LETTER_TEST_POISON").flatMap { ItemID(text: $0) }
        let delay = value("LETTER_TEST_ENCODE_DELAY").flatMap { UInt32($0) }
        var hooks = DaemonHooks()
        hooks.willEncode = { items in
            if let delay { usleep(1_000 * delay) }
            if let poison, items.contains(poison) { abort() }
        }
        await LetterdCommand.main(hooks: hooks)
    }

    private static func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
