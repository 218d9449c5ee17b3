import Files
import GRDB
import SQLiteStore
import Synchronization
import Core

/// The opened files of an index: the database, what it was made for, and the journal next to it.
struct IndexFile: Sendable {
    let paths: IndexPaths
    /// What the index was made for, its own collision policy and arithmetic included.
    let identity: IndexIdentity
    let store: SQLiteStore
    let journal: AssignmentJournal
    /// What was done about the journal.
    let journalOpening: JournalOpening
    /// Held while the database, the journal and the trie in memory change together, so that others find them in step.
    let lock = IndexLock()

    /// What to do about a damaged index.
    static let repair =
        "Stop letterd, run `letter index rebuild`, and start it again; or restore the file from a backup."

    /// 'LTRI', and the schema.
    static let settings = SQLiteStore.Settings(
        applicationID: 0x4C54_5249, migrations: Migrations(schema: PackageResources.index_sql), repair: repair)

    /// Opens or makes the files of the index at `path`; see `IdentifierIndex.init`.
    init(path: String, identity: IndexIdentity, mustExist: Bool) throws {
        paths = IndexPaths(path)
        let isNew = try JournalOpening.isNew(paths, identity: identity, mustExist: mustExist)
        store = try SQLiteStore(path: path, settings: Self.settings)
        self.identity = try Self.confirm(identity, of: store, path: path)
        if store.opening.wasUnclean { try OwnerSum.compareOwners(store, identity: self.identity, path: path) }
        if isNew { try FileSystem.syncDirectory(FileSystem.parent(of: path)) }
        (journal, journalOpening) = try JournalOpening.open(paths, store: store, identity: self.identity)
    }

    /// Writes the identity into a new index; compares it with that of an existing one.
    ///
    /// - Returns: the identity with the policy and the arithmetic that the index has.
    private static func confirm(
        _ identity: IndexIdentity, of store: SQLiteStore, path: String
    ) throws -> IndexIdentity {
        let stored = try store.read { database in
            try Row.fetchAll(database, sql: "SELECT name, value FROM fact").reduce(into: [String: String]()) {
                $0[$1["name"]] = $1["value"]
            }
        }
        guard !stored.isEmpty else {
            try store.write { try identity.write($0) }
            return identity
        }
        if let wrong = identity.rows.sorted(by: { $0.key < $1.key }).first(where: { stored[$0.key] != $0.value }) {
            throw IndexError(
                .mismatch,
                "\(path) has the \(wrong.key) '\(stored[wrong.key] ?? "")' where '\(wrong.value)' is expected.",
                remedy:
                    "Put back the model and the index that belong together, or publish the model as a new generation.")
        }
        guard let policy = CollisionPolicy(rawValue: stored["policy"] ?? "") else {
            throw IndexError(
                .mismatch, "\(path) has the collision policy '\(stored["policy"] ?? "")', which is not known.",
                remedy: "Use the version of Letter that wrote it, or publish the model as a new generation.")
        }
        var found = identity
        found.policy = policy
        found.arithmetic = stored["kernel"]
        return found
    }
}

/// A lock that a chunk holds from its first statement until readers see it.
///
/// Without it the proof could compare the rows of one commit with the trie of another, and the journal could be replaced
/// between a frame and its commit.
final class IndexLock: Sendable {
    private let mutex = Mutex(())

    func withLock<R>(_ body: () throws -> R) rethrows -> R {
        try mutex.withLock { _ in try body() }
    }
}
