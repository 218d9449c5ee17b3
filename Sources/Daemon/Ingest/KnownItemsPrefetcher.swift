import Dispatch
import IdentifierIndex
import Synchronization
import Core

/// What an index knows, page by page, each page read while the one before it is compared with the catalog.
///
/// Reading the index and hashing the catalog take about as long as each other; on two threads a scan takes half as long.
final class KnownItemsPrefetcher: Sendable {
    private let index: IdentifierIndex
    private let pool: BlockingPool
    /// The page that was read ahead, once it is there.
    private let ready = Mutex<Result<KnownItems, any Error>?>(nil)
    private let arrived = DispatchSemaphore(value: 0)

    /// Items of a page.
    private static let pageItems = 16_384

    /// Begins to read the first page.
    init(_ index: IdentifierIndex, on pool: BlockingPool) {
        self.index = index
        self.pool = pool
        read(after: nil)
    }

    private func read(after id: ItemID?) {
        pool.start { [self] in
            let page = Result { try index.known(after: id, limit: Self.pageItems) }
            ready.withLock { $0 = page }
            arrived.signal()
        }
    }

    /// The next page, in key order; an empty one is the last. Waits for it on the caller's thread; one caller.
    func next() throws -> KnownItems {
        arrived.wait()
        let page = try ready.withLock { $0.take() }?.get() ?? KnownItems()
        if page.count > 0 { read(after: ItemID(unchecked: Array(page.id(page.count - 1)))) }
        return page
    }
}
