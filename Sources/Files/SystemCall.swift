import Glibc

/// System calls that a signal may interrupt.
package enum SystemCall {
    /// Repeats a call for as long as it fails with EINTR.
    ///
    /// - Returns: the call's result, or nil if it failed (returned −1) for another reason; `errno` is then as the call
    ///   left it.
    package static func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result? {
        while true {
            let result = call()
            if result != -1 { return result }
            if errno != EINTR { return nil }
        }
    }
}
