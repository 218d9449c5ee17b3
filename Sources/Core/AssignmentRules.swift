/// What becomes of an item whose natural codes another item has (rule 3 of assignment).
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

/// What becomes of the identifier of an item whose embedding changes (rule 5 of assignment).
package enum EditPolicy: String, Codable, Sendable, CaseIterable {
    /// The item keeps it and is marked stale.
    case keep
    /// The item gets a new one; the old one is a tombstone.
    case reassign
}

/// Rules of assignment that may change from one start of the daemon to the next.
package struct AssignmentRules: Sendable, Hashable {
    /// What becomes of the identifier of an item whose embedding changes.
    package var onEdit = EditPolicy.keep
    /// After how many milliseconds a tombstone may be given to another item; nil: never (rule 4).
    package var tombstoneReuse: Int?
    /// Whether the published balancing parts the items of a whole catalog before the first of them gets its identifier
    /// in a new generation (rule 3); under policy `reassign`.
    package var balancesFirstBuild = false

    package init() {}
}
