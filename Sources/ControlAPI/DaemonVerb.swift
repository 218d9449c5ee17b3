/// Hidden verbs of `letterd`, which `letter` runs for work on the daemon's files while the daemon does not run.
///
/// They print one JSON object: the answer, or an `ErrorBody` with an exit status other than 0.
package enum DaemonVerb {
    /// `letterd rebuild-index STATE [GENERATION]`: answers with a `RebuildAnswer`.
    package static let rebuildIndex = "rebuild-index"
}

/// The result of rebuilding an index from its journal.
package struct RebuildAnswer: Codable, Sendable, Hashable {
    package var generation: Int
    /// Items that have their identifiers again.
    package var items: Int
    /// Identifiers of deleted items, which stay reserved.
    package var tombstones: Int
    /// Items whose identifiers were found only in the damaged index, because the journal was damaged too.
    package var salvaged: Int
    /// Rows of history that could be read from the damaged index.
    package var history: Int
    /// Whether the journal was read to its end, so that nothing is missing.
    package var complete: Bool
    /// Paths of the old files.
    package var aside: [String]

    package init(
        generation: Int, items: Int, tombstones: Int, salvaged: Int, history: Int, complete: Bool, aside: [String]
    ) {
        self.generation = generation
        self.items = items
        self.tombstones = tombstones
        self.salvaged = salvaged
        self.history = history
        self.complete = complete
        self.aside = aside
    }
}
