import Core
import CLMDB
import Glibc

/// Whether a data file that ends before the last page its commit names is whole all the same.
///
/// LMDB writes no page that was taken and given back within one transaction, so a whole file may end with pages that only
/// its list of free pages names. What it must not lack is any other page: reading one through the map past the file's end
/// kills the process. So the list is read here with `pread`, which fails instead. The layout is that of LMDB's data
/// format 1 (mdb.c: MDB_page, MDB_meta, MDB_db, MDB_node).
struct FileTail {
    private let descriptor: mdb_filehandle_t
    private let pageSize: Int
    /// Pages that the file holds.
    private let present: UInt64

    private static let pageHeader = 16
    private static let branchPage: UInt16 = 0x01
    private static let leafPage: UInt16 = 0x02
    private static let bigData: UInt16 = 0x01
    /// Most pages that are looked for; a file that lacks more is not believed.
    private static let most: UInt64 = 1 << 22

    /// Whether every page of the last commit that the file lacks is on its list of free pages. O(pages of the list).
    ///
    /// - Parameter fileSize: bytes of data.mdb.
    /// - Precondition: the caller holds no transaction of this environment.
    static func isFree(_ environment: LMDBEnvironment, fileSize: Int) throws -> Bool {
        // Keeps the pages of its snapshot's list from being written over; nothing is read through it.
        let transaction = try LMDBTransaction(environment, readOnly: true)
        var statistics = MDB_stat()
        mdb_env_stat(environment.handle, &statistics)
        let pageSize = Int(statistics.ms_psize)
        var descriptor: mdb_filehandle_t = -1
        try lmdb("mdb_env_get_fd", environment.path, mdb_env_get_fd(environment.handle, &descriptor))
        guard pageSize >= 512 else { return false }
        let tail = FileTail(descriptor: descriptor, pageSize: pageSize, present: UInt64(fileSize / pageSize))
        // The two meta pages take turns, and this one names the snapshot's own number unless two commits came since.
        guard let meta = tail.read(at: Int(transaction.number & 1) * pageSize, count: 160),
            meta.number(144) == transaction.number
        else {
            throw CatalogError(
                .busy, "The catalog \(environment.path) is being written to.", remedy: "It is read again by itself.")
        }
        let (root, last) = (meta.number(80), meta.number(136))
        guard last >= tail.present else { return true }
        guard root != .max, last - tail.present < Self.most else { return false }
        var missing = Set(tail.present...last)
        return try tail.strike(from: &missing, below: root, depth: 0) && missing.isEmpty
    }

    /// Bytes of the file; nil past its end.
    private func read(at offset: Int, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let result = bytes.withUnsafeMutableBytes {
                pread(descriptor, $0.baseAddress! + done, count - done, offset + done)
            }
            if result < 0, errno == EINTR { continue }
            guard result > 0 else { return nil }
            done += result
        }
        return bytes
    }

    /// Strikes out the pages that the part of the list below a page names. False if that part is not all there.
    private func strike(from missing: inout Set<UInt64>, below number: UInt64, depth: Int) throws -> Bool {
        try Task.checkCancellation()
        guard depth < 32, number < present, let page = read(at: Int(number) * pageSize, count: pageSize),
            page.number(0) == number
        else { return false }
        let flags = page.short(10)
        let lower = Int(page.short(12))
        guard lower >= Self.pageHeader, lower <= pageSize else { return false }
        for index in 0..<(lower - Self.pageHeader) / 2 {
            let node = Int(page.short(Self.pageHeader + 2 * index))
            guard node >= Self.pageHeader, node + 8 <= pageSize else { return false }
            let low = UInt64(page.short(node)) | UInt64(page.short(node + 2)) << 16
            if flags & Self.branchPage != 0 {
                let child = low | UInt64(page.short(node + 4)) << 32
                guard try strike(from: &missing, below: child, depth: depth + 1) else { return false }
                continue
            }
            guard flags & Self.leafPage != 0 else { return false }
            let start = node + 8 + Int(page.short(node + 6))
            var list: [UInt8]
            if page.short(node + 4) & Self.bigData != 0 {
                guard start + 8 <= pageSize, page.number(start) < present, Int(low) <= Int(present) * pageSize,
                    let far = read(at: Int(page.number(start)) * pageSize + Self.pageHeader, count: Int(low))
                else { return false }
                list = far
            } else {
                guard start + Int(low) <= pageSize else { return false }
                list = Array(page[start..<(start + Int(low))])
            }
            guard list.count >= 8, list.number(0) <= UInt64(list.count / 8 - 1) else { return false }
            for entry in 0..<Int(list.number(0)) { missing.remove(list.number(8 * (entry + 1))) }
        }
        return true
    }
}

extension [UInt8] {
    fileprivate func number(_ offset: Int) -> UInt64 {
        withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    }

    fileprivate func short(_ offset: Int) -> UInt16 {
        withUnsafeBytes { UInt16(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    }
}
