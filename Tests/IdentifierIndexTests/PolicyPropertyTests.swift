import Foundation
import TestSupport
import Testing
import Core

@testable import IdentifierIndex

/// Random sequences of changes against a model that shares no code with the index, for every policy.
@Suite("Policies under random changes")
struct PolicyPropertyTests {
    /// One way of running an index.
    struct Site: Sendable, CustomTestStringConvertible {
        var policy: CollisionPolicy
        var onEdit: EditPolicy
        var reuse: Int?

        var testDescription: String { "\(policy) \(onEdit) \(reuse.map { "reuse \($0)" } ?? "never")" }

        static let all: [Site] = CollisionPolicy.allCases.flatMap { policy in
            EditPolicy.allCases.flatMap { onEdit in
                [nil, 40].map { Site(policy: policy, onEdit: onEdit, reuse: $0) }
            }
        }
    }

    /// One change; a list of them is in the order in which a chunk applies them.
    enum Change {
        case delete(String)
        case reject(String)
        case encode(String, Identifier)
    }

    static let levels = 3
    static let codes = 3
    /// Changes of a sequence; LETTER_PROPERTY_STEPS makes it longer where there is time.
    static let steps = ProcessInfo.processInfo.environment["LETTER_PROPERTY_STEPS"].flatMap { Int($0) } ?? 30

    private func harness(_ site: Site) throws -> IndexHarness {
        let harness = try IndexHarness(levels: Self.levels, codes: Self.codes, policy: site.policy)
        harness.rules.onEdit = site.onEdit
        harness.rules.tombstoneReuse = site.reuse
        // The same for every row, so that it does not matter where in a chunk an item stands.
        harness.distances.rowWeight = 0
        return harness
    }

    private func model(_ site: Site) -> AssignmentModel {
        var model = AssignmentModel(
            policy: site.policy, levels: Self.levels, codes: Self.codes,
            distances: RingDistances(codes: Self.codes, rowWeight: 0))
        model.rules.onEdit = site.onEdit
        model.rules.tombstoneReuse = site.reuse
        return model
    }

    /// Changes of some of 24 names among the 27 identifiers: crowded, at times full.
    private func changes(_ random: inout SeededGenerator, present: Set<String>) -> [Change] {
        let names = Set(
            (0..<Int.random(in: 1...7, using: &random)).map { _ in "n\(Int.random(in: 10..<34, using: &random))" })
        var deleted: [Change] = []
        var rejected: [Change] = []
        var encoded: [Change] = []
        for name in names.sorted() {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<3 where present.contains(name): deleted.append(.delete(name))
            case 3: rejected.append(.reject(name))
            default:
                let natural = (0..<Self.levels).map { _ in Code.random(in: 0..<2, using: &random) }
                encoded.append(.encode(name, Identifier(natural) ?? []))
            }
        }
        return deleted + rejected + encoded
    }

    private func apply(_ changes: some Sequence<Change>, to harness: IndexHarness, digest: Int) throws {
        var (deleted, rejected): ([String], [String]) = ([], [])
        var encoded: [(String, Identifier)] = []
        for change in changes {
            switch change {
            case .delete(let name): deleted.append(name)
            case .reject(let name): rejected.append(name)
            case .encode(let name, let natural): encoded.append((name, natural))
            }
        }
        try harness.apply(encoded, deleted: deleted, rejected: rejected, digest: UInt64(digest))
    }

    private func apply(_ changes: [Change], to model: inout AssignmentModel, now: Int) {
        for change in changes {
            switch change {
            case .delete(let name): model.delete(name, now: now)
            case .reject(let name): model.reject(name)
            case .encode(let name, let natural): model.encode(name, natural, now: now)
            }
        }
    }

    private func differences(_ harness: IndexHarness, _ expected: [String: [String]]) throws -> [String] {
        try AssignmentModel.queries.sorted { $0.key < $1.key }.compactMap { table, query in
            let found = try harness.rows(query)
            let wanted = expected[table] ?? []
            guard found != wanted else { return nil }
            let extra = Set(found).subtracting(wanted).sorted()
            let missing = Set(wanted).subtracting(found).sorted()
            return "\(table): has \(extra), lacks \(missing)"
        }
    }

    @Test(arguments: Site.all, [UInt64(1), 2])
    func `every table holds what the rules say, no item is moved by another, and no identifier gets a second owner`(
        site: Site, seed: UInt64
    ) throws {
        let harness = try harness(site)
        var model = model(site)
        var random = SeededGenerator(seed: seed)
        var present: Set<String> = []
        var owners: [Identifier: ItemID] = [:]
        var before: [ItemID: Identifier] = [:]
        for step in 0..<Self.steps {
            let comment: Comment = "\(site.testDescription), seed \(seed), step \(step)"
            let changes = changes(&random, present: present)
            harness.now += Int.random(in: 0...20, using: &random)
            try apply(changes, to: harness, digest: step)
            apply(changes, to: &model, now: harness.now)
            present = Set(model.items.keys)
            let wrong = try differences(harness, model.lines)
            try #require(wrong.isEmpty, "\(comment): \(wrong)")
            if step % 8 == 7 { try harness.checkInvariants(comment) }

            let dump = try harness.index.dump()
            let after = Dictionary(uniqueKeysWithValues: (0..<dump.count).map { (dump[$0].item, dump[$0].codes) })
            let encoded = Set(
                changes.compactMap { change in if case .encode(let name, _) = change { id(name) } else { nil } })
            for (item, codes) in before {
                guard let now = after[item], now != codes else { continue }
                #expect(site.onEdit == .reassign && encoded.contains(item), "\(comment): \(item.text) moved")
            }
            before = after
            guard site.policy != .share, site.reuse == nil else { continue }
            for (item, codes) in after {
                #expect(owners[codes, default: item] == item, "\(comment): \(codes) has a second owner")
                owners[codes] = item
            }
        }
        try harness.reopen()
        #expect(try differences(harness, model.lines).isEmpty)
    }

    @Test(arguments: Site.all, [UInt64(5)])
    func `a sequence of changes has the same effect at once, split anywhere, and applied twice`(
        site: Site, seed: UInt64
    ) throws {
        let whole = try harness(site)
        let cut = try harness(site)
        var random = SeededGenerator(seed: seed)
        var present: Set<String> = []
        for step in 0..<Self.steps {
            let comment: Comment = "\(site.testDescription), seed \(seed), step \(step)"
            let changes = changes(&random, present: present)
            whole.now += Int.random(in: 0...20, using: &random)
            cut.now = whole.now
            try apply(changes, to: whole, digest: step)
            var rest = changes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...3, using: &random))
                rest = rest.dropFirst(piece.count)
                try apply(piece, to: cut, digest: step)
                // Applying it again changes nothing: a chunk may come again after a crash.
                guard Bool.random(using: &random) else { continue }
                let lines = try AssignmentModel.queries.mapValues { try cut.rows($0) }
                try apply(piece.filter { if case .reject = $0 { false } else { true } }, to: cut, digest: step)
                #expect(try differences(cut, lines).isEmpty, comment)
            }
            let lines = try AssignmentModel.queries.mapValues { try whole.rows($0) }
            let wrong = try differences(cut, lines)
            try #require(wrong.isEmpty, "\(comment): \(wrong)")
            present = Set(try harnessNames(whole))
        }
    }

    @Test(arguments: Site.all.filter { $0.reuse == nil })
    func `large chunks, which look up all their codes beforehand, decide as small ones do`(site: Site) throws {
        let harnesses = try (0..<2).map { _ in
            try IndexHarness(levels: 3, codes: 32, policy: site.policy)
        }
        for harness in harnesses {
            harness.rules.onEdit = site.onEdit
            harness.rules.tombstoneReuse = site.reuse
            harness.distances.rowWeight = 0
        }
        let (large, small) = (harnesses[0], harnesses[1])
        var random = SeededGenerator(seed: 9)
        /// Codes of unequal frequency, so that there are collisions enough.
        func natural() -> Identifier {
            Identifier(
                (0..<3).map { _ in Code.random(in: 0...Code.random(in: 0..<32, using: &random), using: &random) }) ?? []
        }
        var next = 0
        var gone: [String] = []
        // An empty index; then a chunk that is large compared with the index; then ones that are not.
        for (new, changed) in [(9_000, 0), (2_000, 200), (1_000, 300), (1_000, 300)] {
            // Of those that are there, some go, some change, and some that went come back.
            let deleted = (0..<changed).map { "n\(next - 1 - 4 * $0)" }
            let edited = (0..<changed).map { "n\(next - 2 - 4 * $0)" }
            let names = Set((next..<(next + new)).map { "n\($0)" } + edited + gone).subtracting(deleted).sorted()
            let items = names.map { ($0, natural()) }
            next += new
            gone = deleted
            large.now += 30
            small.now += 30
            try large.apply(items, deleted: deleted, digest: UInt64(next))
            try small.apply(deleted: deleted)
            for start in stride(from: 0, to: items.count, by: 1_000) {
                try small.apply(Array(items[start..<min(start + 1_000, items.count)]), digest: UInt64(next))
            }
            let lines = try AssignmentModel.queries.mapValues { try small.rows($0) }
            #expect(try differences(large, lines).isEmpty, "\(site.testDescription), \(new) items")
        }
        #expect(try large.index.tally().collisions > 1_000)
        #expect(try large.index.tally().tombstones >= 300)
    }

    @Test(arguments: CollisionPolicy.allCases, [UInt64(6), 7])
    func `natural codes do not depend on the order of arrival`(
        policy: CollisionPolicy, seed: UInt64
    ) throws {
        var random = SeededGenerator(seed: seed)
        let items = (0..<20).map { number in
            ("n\(number)", Identifier((0..<3).map { _ in Code.random(in: 0..<2, using: &random) }) ?? [])
        }
        var seen: Set<[String]> = []
        var given: Set<[String]> = []
        for round in 0..<4 {
            let harness = try harness(Site(policy: policy, onEdit: .keep))
            for item in items.shuffled(using: &random) { try harness.apply([item], digest: UInt64(round)) }
            seen.insert(try harness.rows("SELECT quote(id) || quote(natural) FROM item ORDER BY id"))
            given.insert(try harness.rows("SELECT quote(codes) FROM item ORDER BY codes"))
        }
        #expect(seen.count == 1, "seed \(seed)")
        // Which identifiers are in use depends on the order only where a collision may take another bucket's codes.
        if policy != .reassign { #expect(given.count == 1, "seed \(seed)") }
    }

    @Test(arguments: [
        (Site(policy: .reassign, onEdit: .keep), Site(policy: .reassign, onEdit: .reassign)),
        (Site(policy: .suffix, onEdit: .keep), Site(policy: .share, onEdit: .keep)),
        (Site(policy: .reassign, onEdit: .keep, reuse: 40), Site(policy: .reassign, onEdit: .keep)),
        (Site(policy: .suffix, onEdit: .keep, reuse: 40), Site(policy: .suffix, onEdit: .keep)),
    ])
    func `a model with other rules disagrees`(site: Site, other: Site) throws {
        let harness = try harness(site)
        var model = model(other)
        var random = SeededGenerator(seed: 8)
        var present: Set<String> = []
        for step in 0..<Self.steps {
            let changes = changes(&random, present: present)
            harness.now += 15
            try apply(changes, to: harness, digest: step)
            apply(changes, to: &model, now: harness.now)
            present = Set(model.items.keys)
            if try !differences(harness, model.lines).isEmpty { return }
        }
        Issue.record("the model cannot tell \(site.testDescription) from \(other.testDescription)")
    }

    private func harnessNames(_ harness: IndexHarness) throws -> [String] {
        try harness.rows("SELECT CAST(id AS TEXT) FROM item")
    }
}
