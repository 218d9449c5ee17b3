import Glibc
import Core

/// Where a reader doubts what LMDB tells it.
extension CatalogReader {
    /// The pages of the snapshot that a transaction reads, to be taken as soon as it has begun.
    func pages(of transaction: borrowing LMDBTransaction) throws -> SnapshotPages? {
        do { return try SnapshotPages(environment, transaction: transaction.number) } catch let damage as PageDamage {
            throw CatalogError(damage, path)
        }
    }

    /// Proves that items are not in `embeddings`: on the way to the place of each, every page is what it should be.
    ///
    /// A cursor that a damaged page led astray misses items without an error; nobody may lose an identifier by that.
    /// O(items · log n + pages touched).
    ///
    /// - Throws: `damaged`; `busy` if the snapshot's meta page was gone before it could be read.
    func confirmGone(_ items: [ItemID], in pages: SnapshotPages?) throws {
        guard !items.isEmpty else { return }
        guard let pages else { throw lmdbError("comparing", path, EAGAIN) }
        do {
            var checked: Set<UInt64> = []
            let name = Array(DatabaseName.embeddings.utf8)
            let node = try name.withUnsafeBytes { try pages.find($0, in: pages.main, checked: &checked) }
            guard let node, node.isTree, node.valueLength == SnapshotPages.Tree.byteCount else {
                throw PageDamage(page: pages.main.root, what: "the database 'embeddings' is not there")
            }
            let tree = SnapshotPages.Tree(node.value)
            for item in items {
                let found = try item.bytes.withUnsafeBytes { try pages.find($0, in: tree, checked: &checked) }
                guard found == nil else {
                    throw PageDamage(page: tree.root, what: "a scan did not see an item that is below it")
                }
            }
        } catch let damage as PageDamage {
            throw CatalogError(damage, path)
        }
    }
}
