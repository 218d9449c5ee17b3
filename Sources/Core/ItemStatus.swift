/// The state of an item in a generation.
package enum ItemStatus: String, Codable, Sendable, CaseIterable {
    /// It has an identifier, made from its present embedding.
    case live
    /// It has an identifier, made from an embedding that has changed since and would now get other codes.
    case stale
    /// It cannot be encoded; it has no identifier, or keeps the one it had.
    case quarantined
    /// It left the catalog; the identifier it had is a tombstone.
    case deleted
    /// The generation does not know it.
    case unknown
}
