import GRDB
import SQLiteStore
import Trie
import Core

/// The commit that an index is at, written in each transaction that changes it: its number, and a random number drawn for
/// it.
///
/// The files next to the index name the commit that they belong to. The random number distinguishes the same commit of two
/// histories, of which one is that of a restored copy.
struct IndexCommit: Sendable, Hashable {
    var number = 0
    var nonce = 0

    /// The commit after this one.
    var next: IndexCommit { IndexCommit(number: number + 1, nonce: Int.random(in: 1 ... .max)) }

    /// What a file of the trie at this commit is marked with.
    var tag: TrieFile.Tag { TrieFile.Tag(commit: number, nonce: nonce) }
}

extension IndexCommit {
    /// Reads the commit that a connection sees.
    init(_ database: Database) throws {
        let numbers = try Self.numbers(database, "commit")
        if numbers.count == 2 { self.init(number: numbers[0], nonce: numbers[1]) } else { self.init() }
    }

    func write(_ database: Database) throws { try Self.write(database, "commit", [number, nonce]) }

    /// Where the last frame of the journal is, according to the index.
    static func journal(_ database: Database) throws -> JournalPosition? {
        let numbers = try numbers(database, "journal")
        guard numbers.count == 4 else { return nil }
        return JournalPosition(
            commit: IndexCommit(number: numbers[0], nonce: numbers[1]), start: numbers[2], end: numbers[3])
    }

    static func write(_ position: JournalPosition, _ database: Database) throws {
        try write(
            database, "journal", [position.commit.number, position.commit.nonce, position.start, position.end])
    }

    private static func numbers(_ database: Database, _ name: String) throws -> [Int] {
        let statement = try PreparedStatement(database, "SELECT value FROM fact WHERE name = ?")
        statement.bind(1, text: name)
        defer { statement.reset() }
        guard try statement.step() else { return [] }
        return statement.text(0).split(separator: " ").compactMap { Int($0) }
    }

    private static func write(_ database: Database, _ name: String, _ numbers: [Int]) throws {
        let statement = try PreparedStatement(
            database,
            "INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        statement.bind(1, text: name)
        statement.bind(2, text: numbers.map(String.init).joined(separator: " "))
        try statement.run()
    }
}
