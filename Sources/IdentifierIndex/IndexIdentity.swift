package import Core

/// What an index is made for.
package struct IndexIdentity: Sendable, Hashable {
    /// Number of the generation.
    package var generation: Int
    /// Length of the natural codes, and codes per level.
    package var levels: Int
    package var codesPerLevel: Int
    /// SHA-256 of the model file, in hexadecimal.
    package var model: String
    /// What becomes of collisions. An index that is there keeps its own.
    package var policy: CollisionPolicy
    /// The arithmetic that encoded the first items (`FrozenEncoder.arithmetic`); nil where that was not recorded.
    package var arithmetic: String?

    package init(
        generation: Int, levels: Int, codesPerLevel: Int, model: String, policy: CollisionPolicy = .reassign,
        arithmetic: String? = nil
    ) {
        self.generation = generation
        self.levels = levels
        self.codesPerLevel = codesPerLevel
        self.model = model
        self.policy = policy
        self.arithmetic = arithmetic
    }

    /// Length of an identifier: that of the natural codes, or one more.
    package var identifierLength: Int { policy == .suffix ? levels + 1 : levels }
    /// Length of the longest prefixes whose items `trie_node` counts: two codes less than an identifier's, for what is
    /// below a longer one is counted as fast in the table of identifiers.
    var countedLength: Int { max(min(identifierLength - 1, 1), identifierLength - 2) }

    /// The table of the trie's leaves.
    var identifierTable: String { policy == .share ? "shared_identifier" : "identifier" }
}
