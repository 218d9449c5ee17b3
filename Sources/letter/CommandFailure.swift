import Core

/// What a verb that works on files finds wrong by itself.
struct CommandFailure: Failure {
    let code: String
    let kind: FailureKind
    let message: String
    let remedy: String
    let cause: (any Error)?

    init(_ code: String, _ kind: FailureKind, _ message: String, remedy: String, cause: (any Error)? = nil) {
        self.code = code
        self.kind = kind
        self.message = message
        self.remedy = remedy
        self.cause = cause
    }
}
