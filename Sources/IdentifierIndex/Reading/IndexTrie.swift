import Files
import GRDB
import SQLiteStore
import Synchronization
import Trie
import Core

/// How the trie in memory was loaded.
package struct TrieLoad: Sendable {
    /// Whether it came from its file, and not row by row from the index.
    package var fromFile: Bool
    /// Live items.
    package var items: Int
    /// Bytes of its arrays.
    package var bytes: Int
    /// How long it took.
    package var took: Duration
}

/// The trie of an index in memory: loaded from its file or from the rows, updated at each commit, saved when the index is
/// closed.
final class IndexTrie: Sendable {
    private let index: IndexFile
    private let live: LiveTrie
    /// The commit whose trie the file has, if it is known to have one.
    private let saved = Mutex<Int?>(nil)
    /// Whether the index is being closed: a trie that is being loaded is not needed any more.
    private let isClosing = Atomic(false)

    init(_ index: IndexFile, background: @escaping LiveTrie.Background) {
        self.index = index
        live = LiveTrie(background: background)
    }

    /// The trie after the last commit; nil until `load` is done.
    var snapshot: TrieSnapshot? { live.snapshot }

    /// Shows a commit's changes to readers; called by the writer, under the index's lock.
    func publish(_ changes: [TrieChange], commit: IndexCommit) { live.publish(changes, commit: commit.number) }

    /// Loads the trie in the background: from its file if that is of the present commit, else from the rows. O(items).
    func load(done: @escaping @Sendable (Result<TrieLoad, any Error>) -> Void) {
        let start = ContinuousClock.now
        live.load({ [self] in
            try index.store.read { database in
                let commit = try IndexCommit(database)
                let items = try Tally(database).live
                if let base = try? TrieFile.read(
                    index.paths.trie, levels: index.identity.identifierLength, tag: commit.tag), base.items == items
                {
                    saved.withLock { $0 = commit.number }
                    return (base, commit.number)
                }
                let base = try readRows(database, items: items)
                guard base.items == items else {
                    throw IndexError(
                        .inconsistent,
                        "The trie of \(index.paths.database) has \(base.items) items, but \(items) are counted.",
                        remedy: "Stop letterd, run `letter index rebuild`, and start it again.")
                }
                return (base, commit.number)
            }
        }) { [self] result in
            done(
                result.map {
                    TrieLoad(
                        fromFile: saved.withLock { $0 } != nil, items: $0.items, bytes: $0.byteCount,
                        took: start.duration(to: .now))
                })
        }
    }

    /// Reads the trie's leaves in order. O(items).
    ///
    /// - Throws: `CancellationError` if the index is closed meanwhile; `trie.wrong_order` if the rows are damaged.
    func readRows(_ database: Database, items: Int) throws -> TrieBase {
        var builder = TrieBuilder(levels: index.identity.identifierLength, identifiers: items)
        let statement = try PreparedStatement(
            database, "SELECT codes FROM \(index.identity.identifierTable) ORDER BY codes")
        var rows = 0
        // Items that share an identifier follow each other.
        var current: (codes: Identifier, items: Int)?
        do {
            while try statement.step() {
                let codes = statement.identifier(0) ?? []
                if let same = current, same.codes == codes {
                    current?.items += 1
                } else {
                    if let current { try builder.append(current.codes, items: current.items) }
                    current = (codes, 1)
                }
                rows += 1
                if rows % 8_192 == 0, isClosing.load(ordering: .relaxed) { throw CancellationError() }
            }
            if let current { try builder.append(current.codes, items: current.items) }
        } catch let error as TrieError where error.reason == .wrongOrder {
            throw TrieError(
                .wrongOrder, error.message,
                remedy: "The index is damaged: `letter index verify` shows where, `letter index rebuild` repairs it.")
        }
        return builder.finish()
    }

    /// Writes the file, if the trie is that of the last commit and the file is not; then drops the trie.
    ///
    /// - Throws: `StoreError`.
    func close() throws {
        isClosing.store(true, ordering: .relaxed)
        defer { live.drop() }
        guard let trie = snapshot, saved.withLock({ $0 }) != trie.commit else { return }
        let commit = try index.store.read { try IndexCommit($0) }
        guard trie.commit == commit.number else { return }
        do {
            try TrieFile.write(trie, tag: commit.tag, to: index.paths.trie)
        } catch {
            throw StoreError(error, path: index.paths.trie)
        }
    }
}
