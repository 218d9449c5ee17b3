import ArgumentParser
import Core
import Files
import FoundationEssentials
import Glibc
import IdentifierIndex
import Synchronization
import TestSupport
import Trie

/// Measures the speed and size of the trie in memory. Docs/benchmarks.md has the figures.
@main
struct TrieBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trie", abstract: "Measure the trie in memory on random identifiers.")

    @Option(help: "Number of identifiers in the trie.") var items = 10_000_000
    @Option(help: "Number of levels.") var levels = 4
    @Option(help: "Codes per level.") var codes = 256
    @Option(help: "Prefixes per batch.") var batch = 256
    @Option(help: "Items of the dictionary and the database to compare with; 0 for no comparison.")
    var compared = 200_000

    func run() throws {
        let empty = Self.residentBytes()
        var random = SeededGenerator(seed: 1)
        var snapshot: TrieSnapshot
        do {
            let identifiers = Self.identifiers(items, levels: levels, codes: codes, &random)
            let (base, seconds) = try Self.time { () throws -> TrieBase in
                var builder = TrieBuilder(levels: levels, identifiers: identifiers.count)
                for identifier in identifiers { try builder.append(identifier) }
                return builder.finish()
            }
            Self.line("built from sorted identifiers", "\(Self.rate(items, seconds)) items/s")
            snapshot = TrieSnapshot(counting: base)
        }
        Self.line("resident", "\(Self.perItem(Self.residentBytes() - empty, items)) bytes an item")
        Self.line("arrays", "\(Self.perItem(snapshot.byteCount, items)) bytes an item")
        try measureFile(&snapshot, empty: empty)
        measureQueries(snapshot, "trie", &random)
        if compared > 0 { try compare(&random) }
    }

    /// Measures writing the trie to a file, and reading it.
    private func measureFile(_ snapshot: inout TrieSnapshot, empty: Int) throws {
        let path = "/tmp/letter-benchmark-\(getpid()).trie"
        defer { unlink(path) }
        let tag = TrieFile.Tag(commit: 1, nonce: 1)
        let (_, written) = try Self.time { try TrieFile.write(snapshot, tag: tag, to: path) }
        Self.line("written", "\(Self.rate(items, written)) items/s")
        snapshot = TrieSnapshot(counting: TrieBase(levels: levels))
        for attempt in 1...3 {
            let (base, read) = try Self.time { try TrieFile.read(path, levels: levels, tag: tag) }
            Self.line("loaded, \(attempt)", "\(Self.rate(items, read)) items/s")
            snapshot = TrieSnapshot(counting: base)
        }
        Self.line("resident after loading", "\(Self.perItem(Self.residentBytes() - empty, items)) bytes an item")
    }

    /// Queries batches of existing prefixes, as a beam search does at each step.
    private func measureQueries(_ snapshot: TrieSnapshot, _ name: String, _ random: inout SeededGenerator) {
        var lists = TrieSuccessors()
        var masks = TrieMasks(width: codes)
        for depth in 0..<levels {
            let batches = (0..<200).map { _ in
                (0..<batch).map { _ in Self.path(snapshot, depth, &random) }
            }
            var found = 0
            let (_, seconds) = Self.time {
                for prefixes in batches {
                    snapshot.successors(of: prefixes, into: &lists)
                    found += lists.codes.count
                }
            }
            let (_, masked) = Self.time {
                for prefixes in batches {
                    snapshot.masks(of: prefixes, into: &masks)
                    found += Int(masks.words[0] & 1)
                }
            }
            let (_, counted) = Self.time {
                for prefixes in batches { for prefix in prefixes { found += snapshot.items(below: prefix) } }
            }
            let sets = batches.count * batch
            Self.line(
                "\(name), \(depth) codes given",
                "\(Self.rate(sets, seconds)) lists/s, \(Self.rate(sets, masked)) masks/s, \(Self.rate(sets, counted)) counts/s (\(found % 10))"
            )
        }
    }

    /// Measures the same queries on a dictionary of prefixes and on the database.
    private func compare(_ random: inout SeededGenerator) throws {
        let identifiers = Self.identifiers(compared, levels: levels, codes: codes, &random)
        var builder = TrieBuilder(levels: levels, identifiers: identifiers.count)
        for identifier in identifiers { try builder.append(identifier) }
        let snapshot = TrieSnapshot(counting: builder.finish())
        Self.line("compared, of \(compared) items", "")
        measureQueries(snapshot, "trie", &random)

        let before = Self.residentBytes()
        var children: [Identifier: [Code]] = [:]
        for identifier in identifiers {
            for depth in 0..<levels {
                let code = identifier[depth]
                let prefix = identifier.prefix(depth)
                if children[prefix]?.last != code { children[prefix, default: []].append(code) }
            }
        }
        Self.line("dictionary, resident", "\(Self.perItem(Self.residentBytes() - before, compared)) bytes an item")
        let folder = "/tmp/letter-benchmark-\(getpid())"
        try FileSystem.makeDirectory(folder)
        defer { try? FileSystem.removeTree(folder) }
        let index = try makeIndex(folder + "/index.sqlite", identifiers)
        for depth in 0..<levels {
            let batches = (0..<20).map { _ in (0..<batch).map { _ in Self.path(snapshot, depth, &random) } }
            let sets = batches.count * batch
            var found = 0
            let (_, dictionary) = Self.time {
                for prefixes in batches { found += prefixes.map { children[$0] ?? [] }.joined().count }
            }
            let (_, stored) = try Self.time {
                for prefixes in batches {
                    found += try index.storedSuccessors(of: prefixes).reduce(0) { $0 + $1.codes.count }
                }
            }
            Self.line(
                "\(depth) codes given",
                "dictionary \(Self.rate(sets, dictionary)) lists/s, database \(Self.rate(sets, stored)) lists/s (\(found % 10))"
            )
        }
        let (_, scanned) = try Self.time { () throws in
            let failure = Mutex<(any Error)?>(nil)
            index.loadTrie { result in
                if case .failure(let error) = result { failure.withLock { $0 = error } }
            }
            if let error = failure.withLock({ $0 }) { throw error }
        }
        Self.line("loaded from the database's rows", "\(Self.rate(compared, scanned)) items/s")
        try index.close()
    }

    private func makeIndex(_ path: String, _ identifiers: [Identifier]) throws -> IdentifierIndex {
        let index = try IdentifierIndex(
            path: path, identity: .init(generation: 1, levels: levels, codesPerLevel: codes, model: "benchmark"))
        for start in stride(from: 0, to: identifiers.count, by: 65_536) {
            var chunk = Chunk()
            chunk.encoded = (start..<min(start + 65_536, identifiers.count)).map { number in
                let digits = String(number)
                let id = String(repeating: "0", count: 12 - digits.count) + digits
                return EncodedItem(
                    id: ItemID(unchecked: Array(id.utf8)), digest: Digest(high: 0, low: UInt64(number)),
                    natural: identifiers[number], quantisationError: 0, margin: 1)
            }
            _ = try index.apply(chunk, distances: NoDistances(), now: 0)
        }
        return index
    }

    /// Used only for collisions, of which there are none.
    private struct NoDistances: ItemDistances {
        func distances(row: Int, below prefix: Identifier, into result: inout [Float]) {}
    }

    // MARK: - Numbers

    /// Distinct random identifiers, sorted.
    private static func identifiers(_ count: Int, levels: Int, codes: Int, _ random: inout SeededGenerator)
        -> [Identifier]
    {
        var values: [UInt64] = []
        while values.count < count {
            for _ in 0..<(count - values.count) {
                var value: UInt64 = 0
                for _ in 0..<min(levels, 4) { value = value << 16 | random.next() % UInt64(codes) }
                values.append(value << UInt64(16 * (4 - min(levels, 4))))
            }
            values.sort()
            var kept = 0
            for value in values where kept == 0 || values[kept - 1] != value {
                values[kept] = value
                kept += 1
            }
            values.removeSubrange(kept...)
        }
        return values.map { value in
            var identifier = Identifier()
            for level in 0..<levels {
                identifier.append(level < 4 ? Code(truncatingIfNeeded: value >> UInt64(48 - 16 * level)) : 0)
            }
            return identifier
        }
    }

    /// A random prefix of the trie.
    private static func path(_ snapshot: TrieSnapshot, _ depth: Int, _ random: inout SeededGenerator) -> Identifier {
        var prefix = Identifier()
        for _ in 0..<depth {
            let children = snapshot.successors(of: prefix)
            guard !children.isEmpty else { return prefix }
            prefix.append(children[Int(random.next() % UInt64(children.count))])
        }
        return prefix
    }

    private static func time<R>(_ body: () throws -> R) rethrows -> (R, Double) {
        let start = ContinuousClock.now
        let result = try body()
        let took = start.duration(to: .now)
        return (result, Double(took.components.seconds) + Double(took.components.attoseconds) * 1e-18)
    }

    private static func rate(_ count: Int, _ seconds: Double) -> String {
        let rate = Double(count) / seconds
        return rate >= 1e6 ? "\((rate / 1e4).rounded() / 100) million" : "\(Int(rate))"
    }

    private static func perItem(_ bytes: Int, _ items: Int) -> Double {
        (Double(bytes) / Double(items) * 100).rounded() / 100
    }

    /// Resident memory of the process, in bytes.
    private static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }

    private static func line(_ name: String, _ value: String) {
        print(name + String(repeating: " ", count: max(1, 34 - name.count)) + value)
    }
}
