import Synchronization
import Core

/// The trie that readers take snapshots of while one writer updates it, commit by commit.
///
/// At first there is none: it is loaded in the background, and the commits that come in the meantime are kept and
/// applied. Changes lie in a small overlay; when that has grown, a new base is made in the background and replaces both.
/// Readers never wait for a load or a merge, and a snapshot never changes.
package final class LiveTrie: Sendable {
    /// Runs a job some time later, on a thread that may block.
    package typealias Background = @Sendable (@escaping @Sendable () -> Void) -> Void

    /// What readers take; locked for the time of copying two references.
    private let published = Mutex<TrieSnapshot?>(nil)
    /// What the writer, a load and a merge change, one after the other.
    private let writing = Mutex(Writing())
    private let background: Background
    private let mergeAfter: Int

    private struct Writing: Sendable {
        /// Commits that came while a base is loaded; nil: none is being loaded.
        var loading: [(commit: Int, changes: [TrieChange])]?
        /// What changed since a merge began, while one is under way: it is the overlay of the merged base.
        var sinceMerge: TrieOverlay?
        /// Why there is no trie, if loading or merging failed.
        var failure: (any Error)?
    }

    /// - Parameters:
    ///   - background: where tries are loaded and merged.
    ///   - mergeAfter: identifiers that may differ from a small base before it is merged; few enough to copy at each
    ///     commit. With a large base more may differ, which keeps merges a small share of the work.
    package init(background: @escaping Background, mergeAfter: Int = 8_192) {
        self.background = background
        self.mergeAfter = mergeAfter
    }

    /// The state after the last commit; nil until the first load is done. Never waits for a load or a merge. O(1).
    package var snapshot: TrieSnapshot? { published.withLock { $0 } }

    /// Why there is no trie; nil if there is one, or if it is still being loaded.
    package var failure: (any Error)? { writing.withLock { $0.failure } }

    /// Loads the trie in the background.
    ///
    /// - Parameters:
    ///   - load: reads a base and the number of the commit whose state it is; commits that are published after this call
    ///     and have greater numbers are applied to it.
    ///   - done: called on the background's thread with the snapshot, or with the reason why there is none.
    package func load(
        _ load: @escaping @Sendable () throws -> (base: TrieBase, commit: Int),
        done: @escaping @Sendable (Result<TrieSnapshot, any Error>) -> Void = { _ in }
    ) {
        writing.withLock { $0.loading = [] }
        background { [self] in
            let result = Result {
                let (base, commit) = try load()
                return writing.withLock { writing in
                    var snapshot = TrieSnapshot(base: base, overlay: TrieOverlay(levels: base.levels), commit: commit)
                    for late in writing.loading ?? [] where late.commit > commit {
                        snapshot = Self.adding(late.changes, commit: late.commit, to: snapshot)
                    }
                    writing.loading = nil
                    writing.failure = nil
                    published.withLock { $0 = snapshot }
                    return snapshot
                }
            }
            if case .failure(let error) = result {
                writing.withLock {
                    $0.loading = nil
                    $0.failure = error
                }
            }
            done(result)
        }
    }

    /// Shows a commit's changes to readers. Called after the commit, by one thread.
    ///
    /// O(overlay + changes · log changes).
    package func publish(_ changes: [TrieChange], commit: Int) {
        let toMerge: TrieSnapshot? = writing.withLock { writing in
            if writing.loading != nil {
                writing.loading?.append((commit, changes))
                return nil
            }
            guard let current = snapshot else { return nil }
            let next = Self.adding(changes, commit: commit, to: current)
            if let since = writing.sinceMerge { writing.sinceMerge = since.adding(changes) }
            published.withLock { $0 = next }
            guard writing.sinceMerge == nil, next.overlay.count > max(mergeAfter, next.base.identifiers / 256) else {
                return nil
            }
            writing.sinceMerge = TrieOverlay(levels: next.levels)
            return next
        }
        if let toMerge { background { self.merge(toMerge) } }
    }

    /// Drops the trie; there is none until it is loaded again.
    package func drop() {
        writing.withLock { writing in
            writing.loading = nil
            writing.sinceMerge = nil
            published.withLock { $0 = nil }
        }
    }

    private static func adding(_ changes: [TrieChange], commit: Int, to snapshot: TrieSnapshot) -> TrieSnapshot {
        let next = TrieSnapshot(base: snapshot.base, overlay: snapshot.overlay.adding(changes), commit: commit)
        next._checkInvariants()
        return next
    }

    /// Merges the base and the overlay of a snapshot into a new base, which then replaces both.
    private func merge(_ old: TrieSnapshot) {
        let result = Result { try old.base.merged(with: old.overlay) }
        writing.withLock { writing in
            guard let since = writing.sinceMerge, let current = snapshot, current.base === old.base else { return }
            writing.sinceMerge = nil
            switch result {
            case .success(let base):
                let merged = TrieSnapshot(base: base, overlay: since, commit: current.commit)
                merged._checkInvariants()
                published.withLock { $0 = merged }
            case .failure(let error):
                // Changes that do not fit their base: the database answers instead, until the cause is found.
                writing.failure = error
                published.withLock { $0 = nil }
            }
        }
    }
}
