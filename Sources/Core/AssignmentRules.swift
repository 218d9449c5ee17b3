/// How a collision is resolved: which identifier an item gets whose natural codes are taken (rule 3 in Docs/concepts.md).
///
/// A fact of a generation: chosen when its index is made, never changed afterwards.
package enum CollisionPolicy: String, Codable, Sendable, CaseIterable {
    /// The item takes the free code of the last level that is nearest to its residual.
    case reassign
    /// Every identifier has one code more than the model has levels, which counts the items of a bucket (TIGER).
    case suffix
    /// The items of a bucket share one identifier (as published by LETTER).
    case share
}

/// Whether an item whose embedding changes keeps its identifier (rule 5 in Docs/concepts.md).
package enum EditPolicy: String, Codable, Sendable, CaseIterable {
    /// The item keeps it and is marked stale.
    case keep
    /// The item gets a new one; the old one is a tombstone.
    case reassign
}

/// Rules of assignment that may change from one start of the daemon to the next.
package struct AssignmentRules: Sendable, Hashable {
    /// Whether an item whose embedding changes keeps its identifier.
    package var onEdit = EditPolicy.keep
    /// After how many milliseconds a tombstone may be given to another item; nil: never (rule 4).
    package var tombstoneReuse: Int?
    /// Whether a new generation first applies the published balancing to the whole catalog, which moves colliding items to
    /// other last codes (rule 3); under policy `reassign`.
    package var balancesFirstBuild = false

    package init() {}
}
