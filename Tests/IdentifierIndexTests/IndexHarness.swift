import SQLiteStore
import Synchronization
import TestSupport
import Testing
import Trie
import Core

@testable import IdentifierIndex

/// Distances on a ring of codes from one drawn for the row and prefix: deterministic, and never a no-op.
struct RingDistances: ItemDistances {
    let codes: Int
    /// How much the row of an item in its chunk changes them; 0: not at all.
    var rowWeight = 7

    func distances(row: Int, below prefix: Identifier, into result: inout [Float]) {
        let start = (row * rowWeight + prefix.codes.reduce(3) { $0 * 31 + Int($1) }) % codes
        result = (0..<codes).map { Float(($0 - start + codes) % codes) }
    }

    /// The codes, nearest first.
    func ranking(row: Int, below prefix: Identifier) -> [Code] {
        var result: [Float] = []
        distances(row: row, below: prefix, into: &result)
        return result.indices.sorted { result[$0] < result[$1] }.map { Code($0) }
    }
}

/// An index in a folder of its own, and what a test does to it.
final class IndexHarness {
    let folder = TemporaryDirectory()
    let levels: Int
    let codes: Int
    let policy: CollisionPolicy
    var rules = AssignmentRules()
    var distances: RingDistances
    /// Milliseconds.
    var now = 1_000
    private(set) var index: IdentifierIndex
    private let background: LiveTrie.Background
    private let compaction: JournalCompaction.Settings
    /// The compactions of the journal, and the reasons why some failed.
    let compactions = Compactions()

    /// By default no journal is so long that it is compacted.
    init(
        levels: Int = 3, codes: Int = 4, policy: CollisionPolicy = .reassign,
        compaction: JournalCompaction.Settings = .init(), background: @escaping LiveTrie.Background = { $0() }
    ) throws {
        self.levels = levels
        self.codes = codes
        self.policy = policy
        self.background = background
        self.compaction = compaction
        distances = RingDistances(codes: codes)
        index = try Self.open(
            folder["index.sqlite"], levels, codes, policy, background: background, compaction, compactions)
    }

    static func open(
        _ path: String, _ levels: Int, _ codes: Int, _ policy: CollisionPolicy,
        background: @escaping LiveTrie.Background = { $0() }, _ compaction: JournalCompaction.Settings = .init(),
        _ compactions: Compactions = Compactions()
    ) throws -> IdentifierIndex {
        try IdentifierIndex(
            path: path,
            identity: .init(generation: 1, levels: levels, codesPerLevel: codes, model: "abc", policy: policy),
            mustExist: false, background: background, compaction: compaction, compacted: { compactions.add($0) })
    }

    /// Opens the index that was closed before.
    func open(configured policy: CollisionPolicy? = nil) throws {
        index = try Self.open(
            folder["index.sqlite"], levels, codes, policy ?? self.policy, background: background, compaction,
            compactions)
    }

    /// Closes the index and opens it again, as a daemon does whose configuration names a policy.
    func reopen(configured policy: CollisionPolicy? = nil) throws {
        try index.close()
        try open(configured: policy)
    }

    func apply(
        _ encoded: [(String, Identifier)] = [], deleted: [String] = [], rejected: [String] = [], digest: UInt64 = 0,
        cursor: CatalogCursor? = nil
    ) throws {
        var chunk = Chunk()
        chunk.deleted = deleted.map(id)
        chunk.encoded = encoded.map { name, natural in
            EncodedItem(
                id: id(name), digest: Digest(high: digest, low: 1), natural: natural, quantisationError: 0.5,
                margin: 0.25)
        }
        chunk.rejected = rejected.map {
            RejectedItem(id: id($0), digest: Digest(high: digest, low: 2), reason: "not_finite", detail: "a NaN")
        }
        chunk.cursor = cursor
        _ = try index.apply(chunk, distances: distances, rules: rules, now: now)
    }

    /// The lines of text that a query gives.
    func rows(_ sql: String) throws -> [String] { try index.rows(sql) }

    func codes(of name: String) throws -> Identifier? { try index.items([id(name)])[0].row?.codes }

    /// Everything that must hold of an index at any time.
    func checkInvariants(_ comment: Comment) throws {
        let dump = try index.dump()
        let lines = (0..<dump.count).map { dump[$0] }
        #expect(lines.map(\.item) == lines.map(\.item).sorted(), comment)
        let length = policy == .suffix ? levels + 1 : levels
        if policy != .share { #expect(Set(lines.map(\.codes)).count == lines.count, comment) }
        #expect(lines.allSatisfy { $0.codes.count == length }, comment)
        // identifier → items is the inverse of item → identifier.
        let owners = Dictionary(grouping: lines, by: \.codes).mapValues { $0.map(\.item) }
        #expect(try index.owners(of: lines.map(\.codes)) == lines.map { .items(owners[$0.codes] ?? []) }, comment)
        // The trie's language is exactly the set of live identifiers, with the right counts on the way.
        var language: [Identifier] = []
        func walk(_ prefix: Identifier) throws -> Int {
            let children = try index.storedSuccessors(of: [prefix])[0]
            let below = lines.count { $0.codes.prefix(prefix.count) == prefix }
            #expect(children.items == below, comment)
            #expect(children.codes == children.codes.sorted(), comment)
            if prefix.count == length {
                language.append(prefix)
                return below
            }
            return try children.codes.reduce(0) { $0 + (try walk(prefix.appending($1))) }
        }
        #expect(try walk([]) == lines.count, comment)
        #expect(language == owners.keys.sorted(), comment)
        let listed = try index.identifiers(below: [], after: nil, limit: 10_000)
        #expect(listed.map(\.codes) == language, comment)
        #expect(listed.map(\.items) == language.map { owners[$0] ?? [] }, comment)
        // The tally is what a count would give.
        let tally = try index.tally()
        let known = try allKnown()
        let rows = try index.items(known).compactMap(\.row)
        #expect(tally.live == lines.count, comment)
        #expect(tally.stale == rows.count { $0.status == .stale }, comment)
        #expect(tally.quarantined == rows.count { $0.status == .quarantined }, comment)
        #expect(tally.quarantined == (try index.quarantine(after: nil, limit: 10_000).count), comment)
        #expect(tally.collisions == (try index.collisions(after: nil, limit: 10_000).count), comment)
    }

    private func allKnown() throws -> [ItemID] {
        var result: [ItemID] = []
        while true {
            let page = try index.known(after: result.last, limit: 3)
            if page.count == 0 { return result }
            for position in 0..<page.count { result.append(ItemID(unchecked: Array(page.id(position)))) }
        }
    }
}

func id(_ text: String) -> ItemID { ItemID(unchecked: Array(text.utf8)) }

/// What an index reported about compactions of its journal.
final class Compactions: Sendable {
    private let results = Mutex<[Result<JournalCompaction, any Error>]>([])

    func add(_ result: Result<JournalCompaction, any Error>) { results.withLock { $0.append(result) } }

    var done: [JournalCompaction] { results.withLock { $0.compactMap { try? $0.get() } } }
    var failures: [any Error] {
        results.withLock { $0.compactMap { if case .failure(let error) = $0 { error } else { nil } } }
    }
}
