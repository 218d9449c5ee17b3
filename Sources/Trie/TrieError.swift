package import Vocabulary

/// What can go wrong with a trie.
package struct TrieError: Failure {
    /// Reasons, as `trie.…` codes.
    package enum Reason: String, Sendable {
        case wrongOrder = "wrong_order"
        case tooLarge = "too_large"
        case badFile = "bad_file"
    }

    /// Which reason.
    package let reason: Reason
    package let message: String
    package let remedy: String
    package let cause: (any Error)? = nil

    init(_ reason: Reason, _ message: String, remedy: String) {
        self.reason = reason
        self.message = message
        self.remedy = remedy
    }

    package var code: String { "trie.\(reason.rawValue)" }
    package var kind: FailureKind { .unavailable }
}
