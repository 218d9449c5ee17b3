package import Core

/// What can go wrong with a trie.
package typealias TrieError = ReasonedFailure<TrieReason>

/// Reasons, as `trie.…` codes.
package enum TrieReason: String, FailureReason {
    case wrongOrder = "wrong_order"
    case tooLarge = "too_large"
    case badFile = "bad_file"

    package static let module = "trie"

    package var kind: FailureKind { .unavailable }
}
