import Glibc

/// The rollback journal that a process leaves which dies in the transaction that makes a database; later ones are in the
/// write-ahead log.
enum RollbackJournal {
    /// What a journal begins with.
    private static let magic: [UInt8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]

    /// Whether there is a journal beside a database, and the database had no page before the transaction it undoes.
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
