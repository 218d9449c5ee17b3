/// The outcome of a check.
package enum CheckOutcome: String, Codable, Sendable, CaseIterable {
    case ok, failed
}

/// The result of one check of a file, an index or a socket.
package struct Finding: Sendable, Hashable {
    /// Name of the check, such as `quick_check` or `trie`.
    package var name: String
    /// Whether the check passed.
    package var outcome: CheckOutcome
    /// What the check found, at most one sentence: figures if it passed, otherwise what is wrong.
    package var detail: String
    /// What to do about a failed check; nil if it passed, or if only the caller knows.
    package var remedy: String?
    /// How long the check took.
    package var took: Duration

    package init(
        _ name: String, _ outcome: CheckOutcome, _ detail: String, remedy: String? = nil, took: Duration = .zero
    ) {
        self.name = name
        self.outcome = outcome
        self.detail = detail
        self.remedy = remedy
        self.took = took
    }
}
