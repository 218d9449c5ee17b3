import CLMDB
import Glibc

/// What is wrong with a page of a catalog.
struct PageDamage: Error {
    var page: UInt64
    var what: String
}

/// The pages of a snapshot as LMDB 0.9 lays them out, read without LMDB and with every bound checked.
///
/// LMDB trusts its file: a page that is not what it should be sends its cursors astray or ends the process. Here the
/// same page is a `PageDamage`. Layout: lmdb 0.9.24, mdb.c, `MDB_page`, `MDB_node`, `MDB_db`, `MDB_meta`.
///
/// Valid while the transaction that it was made for lives.
struct SnapshotPages {
    /// A B+tree: where it begins, and what it should consist of.
    struct Tree {
        var flags: UInt16
        var depth: Int
        var branchPages: UInt64
        var leafPages: UInt64
        var overflowPages: UInt64
        var entries: UInt64
        var root: UInt64

        /// Bytes of its form in a page.
        static let byteCount = 48

        init(_ bytes: UnsafeRawBufferPointer) {
            func number(_ offset: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
            flags = bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self)
            depth = Int(bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
            branchPages = number(8)
            leafPages = number(16)
            overflowPages = number(24)
            entries = number(32)
            root = number(40)
        }

        var isEmpty: Bool { root == .max }
        /// Whether its keys are in plain byte order, and whether a key has one value.
        var isPlain: Bool { flags & UInt16(MDB_REVERSEKEY | MDB_INTEGERKEY) == 0 }
        var hasDuplicates: Bool { flags & UInt16(MDB_DUPSORT) != 0 }
    }

    /// Keys that a page may hold: from the first on, below the second.
    struct Bounds {
        var low: UnsafeRawBufferPointer?
        var high: UnsafeRawBufferPointer?
    }

    /// A page that was checked: its nodes can be read without a further look at any bound.
    struct Page {
        var number: UInt64
        var bytes: UnsafeRawBufferPointer
        var isLeaf: Bool

        /// How many nodes it has.
        var count: Int { (Int(bytes.loadUnaligned(fromByteOffset: 12, as: UInt16.self)) - 16) / 2 }

        /// A node. O(1).
        func node(_ index: Int) -> Node {
            let offset = Int(bytes.loadUnaligned(fromByteOffset: 16 + 2 * index, as: UInt16.self))
            return Node(bytes: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
        }
    }

    /// A node: a key, and a child's page or a value.
    struct Node {
        /// From its first byte to the end of its page.
        var bytes: UnsafeRawBufferPointer

        private func half(_ offset: Int) -> UInt64 {
            UInt64(bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
        }
        var flags: UInt64 { half(4) }
        var keyLength: Int { Int(half(6)) }
        /// Page of the child of a branch's node.
        var child: UInt64 { half(0) | half(2) << 16 | half(4) << 32 }
        /// Bytes of a leaf's value.
        var valueLength: Int { Int(half(0) | half(2) << 16) }
        var isBig: Bool { flags & 1 != 0 }
        var isTree: Bool { flags & 2 != 0 }
        var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[8..<(8 + keyLength)]) }
        /// First page of a value that has pages of its own.
        var bigPage: UInt64 { bytes.loadUnaligned(fromByteOffset: 8 + keyLength, as: UInt64.self) }
        var value: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: bytes[(8 + keyLength)..<(8 + keyLength + valueLength)])
        }
        /// Bytes that it takes in its page.
        func byteCount(isLeaf: Bool) -> Int { 8 + keyLength + (isLeaf ? (isBig ? 8 : valueLength) : 0) }
    }

    let pageSize: Int
    let lastPage: UInt64
    /// Pages that the file holds.
    var pagesInFile: UInt64 { UInt64(bytes.count / pageSize) }
    /// The tree of free pages, and the tree that holds the named databases.
    let free: Tree
    let main: Tree
    private let mapping: FileMapping
    private let bytes: UnsafeRawBufferPointer

    /// LMDB's limit on the depth of a tree.
    static let maximumDepth = 32

    /// The pages of the snapshot that a transaction reads; nil if two commits came since it began, whose meta page has
    /// taken the place of the snapshot's.
    init?(_ environment: LMDBEnvironment, transaction: UInt64) throws {
        var statistics = MDB_stat()
        mdb_env_stat(environment.handle, &statistics)
        pageSize = Int(statistics.ms_psize)
        mapping = try FileMapping(environment)
        bytes = mapping.bytes
        guard bytes.count >= 2 * pageSize else {
            throw PageDamage(page: 0, what: "the file has no room for its two meta pages")
        }
        for number in 0..<2 {
            let meta = UnsafeRawBufferPointer(rebasing: bytes[(number * pageSize)..<((number + 1) * pageSize)])
            guard meta.loadUnaligned(fromByteOffset: 144, as: UInt64.self) == transaction else { continue }
            free = Tree(UnsafeRawBufferPointer(rebasing: meta[40..<88]))
            main = Tree(UnsafeRawBufferPointer(rebasing: meta[88..<136]))
            lastPage = meta.loadUnaligned(fromByteOffset: 136, as: UInt64.self)
            // The meta page was not rewritten while it was read.
            guard meta.loadUnaligned(fromByteOffset: 144, as: UInt64.self) == transaction else { return nil }
            return
        }
        return nil
    }

    /// The page with this number, once everything about it was found right. O(page).
    func page(_ number: UInt64, isLeaf: Bool, in tree: Tree, _ bounds: Bounds) throws -> Page {
        let allowed: UInt64 = tree.hasDuplicates ? 7 : tree.root == main.root ? 3 : 1
        func fail(_ what: String) -> PageDamage { PageDamage(page: number, what: what) }
        let bytes = try raw(number)
        guard bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self) == number else {
            throw fail("it bears another page's number")
        }
        guard bytes.loadUnaligned(fromByteOffset: 10, as: UInt16.self) & ~0x10 == (isLeaf ? 2 : 1) else {
            throw fail("it is no \(isLeaf ? "leaf" : "branch")")
        }
        let lower = Int(bytes.loadUnaligned(fromByteOffset: 12, as: UInt16.self))
        let upper = Int(bytes.loadUnaligned(fromByteOffset: 14, as: UInt16.self))
        guard lower > 16, lower % 2 == 0, lower <= upper, upper <= pageSize else {
            throw fail("its bounds are \(lower) and \(upper)")
        }
        let page = Page(number: number, bytes: bytes, isLeaf: isLeaf)
        var used = 0
        var previous: UnsafeRawBufferPointer?
        for index in 0..<page.count {
            let offset = Int(bytes.loadUnaligned(fromByteOffset: 16 + 2 * index, as: UInt16.self))
            guard offset >= upper, offset % 2 == 0, offset + 8 <= pageSize else {
                throw fail("its entry \(index) begins at \(offset)")
            }
            let node = page.node(index)
            let size = node.byteCount(isLeaf: isLeaf)
            guard offset + size <= pageSize, !isLeaf || node.flags & ~allowed == 0 else {
                throw fail("its entry \(index) has \(size) bytes")
            }
            used += (size + 1) & ~1
            // The first key of a branch is not looked at: everything smaller is below it.
            guard tree.isPlain, isLeaf || index > 0 else { continue }
            let key = node.key
            guard previous.map({ compareKeys($0, key) < 0 }) ?? true,
                bounds.low.map({ compareKeys($0, key) <= 0 }) ?? true,
                bounds.high.map({ compareKeys(key, $0) < 0 }) ?? true
            else { throw fail("its keys are not in order") }
            previous = key
        }
        // LMDB leaves no gaps between nodes, so that a wrong length anywhere shows here.
        guard used == pageSize - upper else { throw fail("its entries do not fill it") }
        return page
    }

    /// Pages of a value of its own; the number of them that it takes.
    func bigPages(_ node: Node) throws -> UInt64 {
        let first = node.bigPage
        let bytes = try raw(first)
        let count = UInt64(bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        guard bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self) == first,
            bytes.loadUnaligned(fromByteOffset: 10, as: UInt16.self) & ~0x10 == 4,
            count >= UInt64((16 + node.valueLength + pageSize - 1) / pageSize), count <= pagesInFile,
            first + count <= pagesInFile
        else { throw PageDamage(page: first, what: "it does not begin a value of \(node.valueLength) bytes") }
        return count
    }

    /// The bytes of a value, wherever they are.
    func value(_ node: Node) throws -> UnsafeRawBufferPointer {
        guard node.isBig else { return node.value }
        _ = try bigPages(node)
        let start = Int(node.bigPage) * pageSize + 16
        return UnsafeRawBufferPointer(rebasing: bytes[start..<(start + node.valueLength)])
    }

    private func raw(_ number: UInt64) throws -> UnsafeRawBufferPointer {
        // The last pages of a whole file may be missing: LMDB writes none that was given back in its own transaction.
        guard number >= 2, number <= lastPage, number < pagesInFile else {
            throw PageDamage(page: number, what: "something points to it, and there is no such page")
        }
        let start = Int(number) * pageSize
        return UnsafeRawBufferPointer(rebasing: bytes[start..<(start + pageSize)])
    }

    /// The node of a key in a plain tree, or nil; every page on the way is checked but those in `checked`.
    ///
    /// O(depth · page), O(depth · log n) for pages that were checked.
    func find(
        _ key: UnsafeRawBufferPointer, in tree: Tree, checked: inout Set<UInt64>
    ) throws -> Node? {
        guard !tree.isEmpty else { return nil }
        guard (1...Self.maximumDepth).contains(tree.depth) else {
            throw PageDamage(page: tree.root, what: "it begins a tree of \(tree.depth) levels")
        }
        var number = tree.root
        var bounds = Bounds()
        for level in 1...tree.depth {
            let isLeaf = level == tree.depth
            let page: Page
            if checked.contains(number) {
                page = Page(number: number, bytes: try raw(number), isLeaf: isLeaf)
            } else {
                page = try self.page(number, isLeaf: isLeaf, in: tree, bounds)
                checked.insert(number)
            }
            // The first node whose key is above: for a branch from its second node on.
            var low = isLeaf ? 0 : 1
            var high = page.count
            while low < high {
                let middle = (low + high) / 2
                if compareKeys(page.node(middle).key, key) <= 0 { low = middle + 1 } else { high = middle }
            }
            guard !isLeaf else {
                guard low > 0 else { return nil }
                let node = page.node(low - 1)
                return compareKeys(node.key, key) == 0 ? node : nil
            }
            if low > 1 { bounds.low = page.node(low - 1).key }
            if low < page.count { bounds.high = page.node(low).key }
            number = page.node(low - 1).child
        }
        return nil
    }
}

/// The data file of an environment, mapped once more: LMDB does not tell where its own mapping is.
private final class FileMapping {
    let bytes: UnsafeRawBufferPointer

    init(_ environment: LMDBEnvironment) throws {
        var descriptor: mdb_filehandle_t = -1
        try lmdb("mdb_env_get_fd", environment.path, mdb_env_get_fd(environment.handle, &descriptor))
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw lmdbError("fstat", environment.path, errno) }
        let length = Int(status.st_size)
        guard length > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let start = mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0), start != MAP_FAILED else {
            throw lmdbError("mmap", environment.path, errno)
        }
        bytes = UnsafeRawBufferPointer(start: start, count: length)
    }

    deinit { if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) } }
}

/// Compares as `memcmp` does, the shorter first where one begins the other.
func compareKeys(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let shared = min(left.count, right.count)
    if shared > 0, let first = left.baseAddress, let second = right.baseAddress {
        let order = memcmp(first, second, shared)
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}
