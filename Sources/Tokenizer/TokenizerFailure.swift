package import Core

/// The former name and form of `TokenizerError`, for the callers in TokenizerTraining until they have reasons of their own.
package typealias TokenizerFailure = TokenizerError

extension ReasonedFailure<TokenizerReason> {
    /// - Precondition: `reason` is the raw value of a `TokenizerReason`, whose kind is `kind`.
    package init(
        _ reason: String, _ kind: FailureKind, _ message: String, remedy: String, cause: (any Error)? = nil
    ) {
        guard let reason = TokenizerReason(rawValue: reason), reason.kind == kind else {
            preconditionFailure("no such reason: \(reason)")
        }
        self.init(reason, message, remedy: remedy, cause: cause)
    }
}
