import GRDB
package import Core

/// What an index was made for.
package struct IndexIdentity: Sendable, Hashable {
    /// Number of the generation.
    package var generation: Int
    /// Length of the natural codes.
    package var levels: Int
    /// Number of codes of a level.
    package var codesPerLevel: Int
    /// SHA-256 of the model file, in hexadecimal.
    package var model: String
    /// How collisions are resolved. An existing index keeps its own policy.
    package var policy: CollisionPolicy
    /// The arithmetic that encoded the first items (`FrozenEncoder.arithmetic`); nil where that was not recorded.
    package var arithmetic: String?

    /// The identity of an index.
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

    /// Length of an identifier: that of the natural codes, or one more under the policy `suffix`.
    package var identifierLength: Int { policy == .suffix ? levels + 1 : levels }

    /// Length of the longest prefixes whose items `trie_node` counts: two codes less than an identifier, because below a
    /// longer prefix the table of identifiers is counted as fast.
    var countedLength: Int { max(min(identifierLength - 1, 1), identifierLength - 2) }

    /// The table of the trie's leaves.
    var identifierTable: String { policy == .share ? "shared_identifier" : "identifier" }
}

extension IndexIdentity {
    /// What never depends on a configuration, under the names of the rows of `fact`.
    var rows: [String: String] {
        [
            "generation": String(generation), "levels": String(levels), "codes": String(codesPerLevel),
            "model": model,
        ]
    }

    /// Writes the rows of a new index.
    func write(_ database: Database) throws {
        var rows = rows
        rows["policy"] = policy.rawValue
        // The name dates from when the arithmetic was that of a BLAS kernel.
        rows["kernel"] = arithmetic
        for (name, value) in rows {
            try database.execute(sql: "INSERT INTO fact (name, value) VALUES (?, ?)", arguments: [name, value])
        }
    }
}
