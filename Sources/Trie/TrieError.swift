package import Core

/// What can go wrong with a trie.
package typealias TrieError = ReasonedFailure<TrieReason>

/// Reasons, as `trie.…` codes.
package enum TrieReason: String, FailureReason {
    /// Identifiers do not ascend, or changes do not fit their base.
    case wrongOrder = "wrong_order"
    /// More nodes or items than 32 bits count.
    case tooLarge = "too_large"
    /// A file that is damaged or belongs to another state.
    case badFile = "bad_file"

    package static let module = "trie"

    package var kind: FailureKind { .unavailable }
}
