import Glibc

/// Gives the pages that a scan has read back to the kernel, so that a scan does not make the whole file resident.
///
/// Every page that is read through a mapping stays mapped, and counts as this process's memory, until the mapping ends:
/// 4 GB for a million embeddings of 384. Unmapping pages loses nothing, because they stay in the page cache: one that is
/// read again is mapped again.
struct ScannedPages {
    /// Pages stay mapped until about so many bytes of them were read.
    private static let limit = 32 << 20
    private static let page = 4096

    private var lowest = UInt.max
    private var highest: UInt = 0
    private var bytes = 0

    /// Notes a record that was read, and unmaps the pages of all records noted so far if there are many. Amortised O(1).
    ///
    /// Bytes of earlier records may still be read; they are mapped again.
    ///
    /// - Precondition: all records lie in one read-only mapping of a file.
    mutating func read(_ record: UnsafeRawBufferPointer) {
        guard let start = record.baseAddress else { return }
        lowest = min(lowest, UInt(bitPattern: start))
        highest = max(highest, UInt(bitPattern: start) + UInt(record.count))
        // A record touches one page at least, whichever pages lie next to it.
        bytes += max(record.count, Self.page)
        if bytes >= Self.limit { release() }
    }

    private mutating func release() {
        // Between two addresses of one mapping there is nothing but that mapping.
        let start = lowest & ~UInt(Self.page - 1)
        madvise(UnsafeMutableRawPointer(bitPattern: start), Int(highest - start), MADV_DONTNEED)
        self = ScannedPages()
    }
}
