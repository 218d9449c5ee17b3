import Glibc

/// The rollback journal that a process leaves if it dies in the transaction that creates a database; later transactions
/// are in the write-ahead log.
enum RollbackJournal {
    /// The first bytes of a journal.
    private static let magic: [UInt8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]

    /// Whether there is a journal next to a database, and the database was empty before the transaction that it undoes.
    ///
    /// The page count is the big-endian number at byte 16 (https://sqlite.org/fileformat.html, section 3).
    static func undoesEverything(in database: String) -> Bool {
        let descriptor = open(database + "-journal", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0xff, count: 20)
        guard read(descriptor, &header, header.count) == header.count else { return false }
        return header.starts(with: magic) && header[16..<20].allSatisfy { $0 == 0 }
    }
}
