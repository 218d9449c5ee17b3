package import Core

/// What is wrong with a tokenizer model, with what it is asked to encode, or with a training run.
package struct TokenizerFailure: Failure {
    package let code: String
    package let kind: FailureKind
    package let message: String
    package let remedy: String
    package let cause: (any Error)?

    package init(
        _ reason: String, _ kind: FailureKind = .invalid, _ message: String, remedy: String,
        cause: (any Error)? = nil
    ) {
        self.code = "tokenizer.\(reason)"
        self.kind = kind
        self.message = message
        self.remedy = remedy
        self.cause = cause
    }
}
