import Files
import GRDB
import SQLiteStore
import Synchronization
package import Trie
package import Core

extension IdentifierIndex {
    /// How the trie in memory was loaded.
    package struct TrieLoad: Sendable {
        /// Whether it came from its file, and not row by row from the index.
        package var fromFile: Bool
        package var items: Int
        package var bytes: Int
        package var took: Duration
    }

    /// Where the trie of a closed index lies, so that the next start need not read the index for it.
    static func triePath(of path: String) -> String { sibling(of: path, "trie") }

    /// The trie of live identifiers in memory, as it is after the last commit; nil until `loadTrie` is done.
    package var trie: TrieSnapshot? { live.snapshot }

    /// Loads the trie beside the work; until it is there, and if it cannot be, answers come from the database.
    ///
    /// From its file if that is of the present commit, else from the rows. O(items).
    package func loadTrie(done: @escaping @Sendable (Result<TrieLoad, any Error>) -> Void = { _ in }) {
        let start = ContinuousClock.now
        live.load({ [self] in
            try store.read { database in
                let commit = try IndexCommit(database)
                let items = try Tally(database).live
                let path = Self.triePath(of: self.path)
                if let base = try? TrieFile.read(path, levels: length, tag: commit.tag), base.items == items {
                    savedTrie.withLock { $0 = commit.number }
                    return (base, commit.number)
                }
                let base = try readTrie(database, items: items)
                guard base.items == items else {
                    throw IndexError(
                        .inconsistent, "The trie of \(self.path) has \(base.items) items; \(items) are counted.",
                        remedy: "Stop letterd, run `letter index rebuild`, and start it again.")
                }
                return (base, commit.number)
            }
        }) { [self] result in
            done(
                result.map {
                    TrieLoad(
                        fromFile: savedTrie.withLock { $0 } != nil, items: $0.items, bytes: $0.byteCount,
                        took: start.duration(to: .now))
                })
        }
    }

    /// Reads the trie's leaves in order. O(items).
    ///
    /// - Throws: `CancellationError` if the index is closed meanwhile.
    func readTrie(_ database: Database, items: Int) throws -> TrieBase {
        var builder = TrieBuilder(levels: length, identifiers: items)
        let statement = try PreparedStatement(database, "SELECT codes FROM \(identity.identifierTable) ORDER BY codes")
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

    /// What can follow each prefix and how many live items are below it: from the trie in memory where it is there.
    ///
    /// O(prefixes · (levels · log children + children)).
    package func successors(of prefixes: [Identifier]) throws -> [TrieChildren] {
        guard let trie else { return try children(of: prefixes) }
        var lists = TrieSuccessors()
        trie.successors(of: prefixes, into: &lists)
        return prefixes.indices.map { TrieChildren(next: Array(lists[$0]), items: lists.items[$0]) }
    }

    /// Writes the trie's file, if the trie is that of the last commit and the file is not.
    func saveTrie() throws {
        guard let trie, savedTrie.withLock({ $0 }) != trie.commit else { return }
        let commit = try store.read { try IndexCommit($0) }
        guard trie.commit == commit.number else { return }
        do {
            try TrieFile.write(trie, tag: commit.tag, to: Self.triePath(of: path))
        } catch {
            throw StoreError(error, path: Self.triePath(of: path))
        }
    }
}
