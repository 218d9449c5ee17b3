import CLMDB
import Glibc
import Core

/// Reads every page of a catalog that its last commit can reach, and checks that it is what it should be.
///
/// LMDB has no checksums: what is found is damage to the structure (pages, keys' order, counts, sizes), not a value or a
/// key whose bytes changed within it. A file that is bad enough ends the process that opens it; the daemon verifies in a
/// child.
package enum CatalogVerification {
    /// What was read.
    package struct Report: Sendable, Hashable {
        /// Pages in use, and pages free for the next commits.
        package var pages = 0
        package var freePages = 0
        /// The named databases and how many entries each has, in the order of their names.
        package var databases: [(name: String, entries: Int)] = []

        package static func == (left: Report, right: Report) -> Bool {
            left.pages == right.pages && left.freePages == right.freePages
                && left.databases.elementsEqual(right.databases) { $0 == $1 }
        }

        package func hash(into hasher: inout Hasher) { hasher.combine(pages) }
    }

    /// Verifies the catalog in the folder `path` as it was at its last commit. O(pages); others may write meanwhile.
    ///
    /// - Throws: `CatalogError`: `damaged` with the page and what is wrong with it, and what opening throws.
    package static func verify(path: String) throws -> Report {
        guard FileIdentity(path + "/data.mdb") != nil else { throw lmdbError("opening", path, ENOENT) }
        let environment = try LMDBEnvironment(path: path, flags: MDB_RDONLY | MDB_NOTLS, mapSize: 0)
        try CatalogReader.checkSize(environment)
        for _ in 0..<100 {
            let transaction = try LMDBTransaction(environment, readOnly: true)
            do {
                guard let pages = try SnapshotPages(environment, transaction: transaction.number) else { continue }
                var walk = PageWalk(pages: pages)
                return try walk.report()
            } catch let damage as PageDamage {
                throw CatalogError(damage, path)
            }
        }
        throw lmdbError("verifying", path, EAGAIN)
    }
}

/// The walk over all pages of a snapshot.
private struct PageWalk {
    let pages: SnapshotPages
    /// Pages met so far, a bit each.
    private var met: [UInt64]
    private var found = CatalogVerification.Report()

    private struct Counts {
        var branches: UInt64 = 0
        var leaves: UInt64 = 0
        var big: UInt64 = 0
        var entries: UInt64 = 0
    }

    init(pages: SnapshotPages) {
        self.pages = pages
        met = [UInt64](repeating: 0, count: Int(pages.pagesInFile / 64) + 1)
    }

    mutating func report() throws -> CatalogVerification.Report {
        var trees: [(name: String, tree: SnapshotPages.Tree)] = []
        var sound = true
        try walk(pages.main) { node in
            guard node.isTree, node.valueLength == SnapshotPages.Tree.byteCount else { return }
            trees.append((String(decoding: node.key, as: UTF8.self), SnapshotPages.Tree(node.value)))
        }
        for (name, tree) in trees {
            try walk(tree) { _ in }
            // Several values of a key have pages or trees of their own, which no catalog of ours has.
            if tree.hasDuplicates { sound = false }
            found.databases.append((name, Int(clamping: tree.entries)))
        }
        found.pages = met.reduce(2) { $0 + $1.nonzeroBitCount }
        let inUse = met
        let pages = self.pages
        var free = 0
        try walk(pages.free) { node in
            let list = try pages.value(node)
            guard list.count >= 8, list.count % 8 == 0,
                list.loadUnaligned(as: UInt64.self) <= UInt64(list.count / 8 - 1)
            else { throw PageDamage(page: pages.free.root, what: "a list of free pages has \(list.count) bytes") }
            for index in 1..<(1 + Int(list.loadUnaligned(as: UInt64.self))) {
                let number = list.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)
                guard number >= 2, number <= pages.lastPage else {
                    throw PageDamage(page: number, what: "it is said to be free, and there is no such page")
                }
                let isInFile = number < pages.pagesInFile
                guard !sound || !isInFile || inUse[Int(number / 64)] & (1 << (number % 64)) == 0 else {
                    throw PageDamage(page: number, what: "it is in use and said to be free")
                }
                free += 1
            }
        }
        found.freePages = free
        return found
    }

    /// Walks a tree, and compares what was met with what it should consist of.
    private mutating func walk(
        _ tree: SnapshotPages.Tree, _ body: (SnapshotPages.Node) throws -> Void
    ) throws {
        guard !tree.isEmpty else {
            guard tree.entries == 0 else {
                throw PageDamage(page: 0, what: "an empty database counts \(tree.entries) entries")
            }
            return
        }
        guard (1...SnapshotPages.maximumDepth).contains(tree.depth) else {
            throw PageDamage(page: tree.root, what: "it begins a tree of \(tree.depth) levels")
        }
        var counts = Counts()
        try walk(tree.root, depth: tree.depth, tree, SnapshotPages.Bounds(), &counts, body)
        guard tree.hasDuplicates || counts.entries == tree.entries else {
            throw PageDamage(page: tree.root, what: "below it are \(counts.entries) entries of \(tree.entries)")
        }
        guard counts.branches == tree.branchPages, counts.leaves == tree.leafPages || tree.hasDuplicates,
            counts.big == tree.overflowPages || tree.hasDuplicates
        else { throw PageDamage(page: tree.root, what: "below it are not as many pages as there should be") }
    }

    private mutating func walk(
        _ number: UInt64, depth: Int, _ tree: SnapshotPages.Tree, _ bounds: SnapshotPages.Bounds,
        _ counts: inout Counts, _ body: (SnapshotPages.Node) throws -> Void
    ) throws {
        let page = try pages.page(number, isLeaf: depth == 1, in: tree, bounds)
        try meet(number)
        let count = page.count
        guard depth > 1 else {
            counts.leaves += 1
            counts.entries += UInt64(count)
            for index in 0..<count {
                let node = page.node(index)
                if node.isBig {
                    let big = try pages.bigPages(node)
                    counts.big += big
                    for offset in 0..<big { try meet(node.bigPage + offset) }
                }
                try body(node)
            }
            return
        }
        counts.branches += 1
        for index in 0..<count {
            var below = SnapshotPages.Bounds(low: bounds.low, high: bounds.high)
            if index > 0 { below.low = page.node(index).key }
            if index + 1 < count { below.high = page.node(index + 1).key }
            try walk(page.node(index).child, depth: depth - 1, tree, below, &counts, body)
        }
    }

    private mutating func meet(_ number: UInt64) throws {
        let (word, bit) = (Int(number / 64), UInt64(1) << (number % 64))
        guard met[word] & bit == 0 else { throw PageDamage(page: number, what: "it belongs to two places") }
        met[word] |= bit
    }
}

extension CatalogError {
    /// What to do about a damaged catalog.
    private static let restore =
        "Stop the writers and move an undamaged copy of data.mdb (mdb_copy) into its place, or write the catalog anew; nothing was deleted from the index."

    /// A page that is not what it should be.
    init(_ damage: PageDamage, _ path: String) {
        // Page 0 is no tree's: then the damage is not one page's alone.
        let place = damage.page == 0 ? "" : "page \(damage.page): "
        self.init(.damaged, "The catalog \(path) is damaged: \(place)\(damage.what).", remedy: Self.restore)
    }

    /// A file that lacks its end.
    static func truncated(_ path: String, size: Int?, required: Int?) -> CatalogError {
        CatalogError(
            .damaged,
            "\(path)/data.mdb has \(size ?? 0) bytes where its last commit needs \(required.map(String.init) ?? "more").",
            remedy: "It was truncated. " + Self.restore)
    }

    /// A catalog that ended the process that read it.
    package static func ends(_ path: String, signal: Int32) -> CatalogError {
        CatalogError(
            .damaged, "The catalog \(path) is damaged: reading it ends the reader with signal \(signal).",
            remedy: Self.restore)
    }
}
