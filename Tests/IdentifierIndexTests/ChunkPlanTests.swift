import Core
import Testing

@testable import IdentifierIndex

/// An index as dictionaries: what a decision depends on, without a database.
struct MemoryFacts: AssignmentFacts {
    var items: [ItemID: StoredItem] = [:]
    /// Of items whose natural codes were others than those of their identifiers.
    var buckets: [ItemID: Identifier] = [:]
    /// The identifiers that items left, the latest first.
    var left: [ItemID: [Tombstone]] = [:]
    /// Identifiers in use, and how many items share each.
    var inUse: [Identifier: Int] = [:]

    init(inUse: [Identifier] = []) { for codes in inUse { self.inUse[codes, default: 0] += 1 } }

    func item(_ id: ItemID) -> StoredItem? { items[id] }
    func bucket(of id: ItemID, codes: Identifier) -> Identifier { buckets[id] ?? codes.prefix(3) }
    func tombstones(of id: ItemID) -> [Tombstone] { left[id] ?? [] }
    func isOccupied(_ codes: Identifier) -> Bool { inUse.keys.contains { $0.prefix(codes.count) == codes } }
    func owners(of codes: Identifier) -> Int { inUse[codes] ?? 0 }

    func usedCodes(below prefix: Identifier) -> [Code] {
        inUse.keys.filter { $0.count > prefix.count && $0.prefix(prefix.count) == prefix }.map { $0[prefix.count] }
            .sorted()
    }
}

@Suite("Decisions about a chunk")
struct ChunkPlanTests {
    private static let codes = 4
    private typealias Outcome = ItemDecision.Outcome

    private static func item(_ name: String, _ natural: Identifier) -> EncodedItem {
        EncodedItem(
            id: id(name), digest: Digest(high: 0, low: 0), natural: natural, quantisationError: 0, margin: 0)
    }

    private static func plan(
        _ items: [EncodedItem], _ policy: CollisionPolicy = .reassign, codes: Int = codes, onEdit: EditPolicy = .keep
    ) throws -> ChunkPlan {
        var rules = AssignmentRules()
        rules.onEdit = onEdit
        let identity = IndexIdentity(generation: 1, levels: 3, codesPerLevel: codes, model: "abc", policy: policy)
        return try ChunkPlan(
            items, identity: identity, rules: rules, distances: RingDistances(codes: codes, rowWeight: 0))
    }

    /// Decides about all items of a chunk, as if the facts did not change meanwhile.
    private static func decide(
        _ items: [EncodedItem], _ policy: CollisionPolicy = .reassign, codes: Int = codes, onEdit: EditPolicy = .keep,
        facts: MemoryFacts = MemoryFacts()
    ) throws -> [ItemDecision] {
        var plan = try plan(items, policy, codes: codes, onEdit: onEdit)
        return try items.enumerated().map { row, item in
            try plan.decide(item, row: row, before: facts.item(item.id), facts: facts)
        }
    }

    private static func given(_ decisions: [ItemDecision]) -> [Identifier?] {
        decisions.map { if case .gets(let found, _) = $0.outcome { found.codes } else { nil } }
    }

    private static let ranking = RingDistances(codes: codes, rowWeight: 0).ranking(row: 0, below: [1, 2])

    @Test func `free natural codes are given as they are`() throws {
        let decisions = try Self.decide([Self.item("a", [1, 2, 3]), Self.item("b", [1, 2, 0])])
        #expect(
            decisions
                == [[1, 2, 3], [1, 2, 0]].map { codes in
                    ItemDecision(outcome: .gets(Assignment(codes: codes, bucket: codes), .live))
                })
    }

    @Test
    func `the second item with the same natural codes gets the nearest free code, in use before or in this chunk`()
        throws
    {
        let nearest = try #require(Self.ranking.enumerated().first { $0.element != 3 })
        let expected = Assignment(
            codes: [1, 2, nearest.element], bucket: [1, 2, 3], rank: nearest.offset, rule: .nearestFree)
        let items = [Self.item("a", [1, 2, 3]), Self.item("b", [1, 2, 3])]
        #expect(try Self.decide(items)[1].outcome == .gets(expected, .live))
        let facts = MemoryFacts(inUse: [[1, 2, 3]])
        #expect(try Self.decide([items[1]], facts: facts)[0].outcome == .gets(expected, .live))
        // What was given as a substitute is not free for the next one.
        let third = try Self.decide(items + [Self.item("c", [1, 2, nearest.element])])[2]
        #expect(Self.given([third]) != [[1, 2, nearest.element]])
    }

    @Test func `a full last level leads to the next-nearest code above, and a full index to no identifier`() throws {
        let full: [Identifier] = [[1, 2, 0], [1, 2, 1], [1, 2, 2], [1, 2, 3]]
        let decisions = try Self.decide([Self.item("a", [1, 2, 3])], facts: MemoryFacts(inUse: full))
        guard case .gets(let found, .live) = decisions[0].outcome else {
            Issue.record("\(decisions)")
            return
        }
        #expect(found.rule == .nextPrefix && found.codes.prefix(1) == [1] && found.codes.prefix(2) != [1, 2])
        let all: [Identifier] = [
            [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1],
        ]
        let none = try Self.decide([Self.item("a", [1, 1, 1])], codes: 2, facts: MemoryFacts(inUse: all))
        #expect(none == [ItemDecision(outcome: .noneFree)])
    }

    @Test func `balanced codes come before the natural ones where they are free`() throws {
        var item = Self.item("a", [1, 2, 3])
        item.balanced = [1, 2, 1]
        let expected = Assignment(codes: [1, 2, 1], bucket: [1, 2, 3], rule: .balanced)
        #expect(try Self.decide([item])[0].outcome == .gets(expected, .live))
        #expect(Self.given(try Self.decide([item], facts: MemoryFacts(inUse: [[1, 2, 1]]))) == [[1, 2, 3]])
    }

    @Test func `under suffix the smallest free suffix is given, in order of arrival`() throws {
        let items = ["a", "b", "c"].map { Self.item($0, [1, 2, 3]) }
        let decisions = try Self.decide(items, .suffix, facts: MemoryFacts(inUse: [[1, 2, 3, 1]]))
        #expect(Self.given(decisions) == [[1, 2, 3, 0], [1, 2, 3, 2], [1, 2, 3, 3]])
        let rules = decisions.map {
            if case .gets(let found, _) = $0.outcome { found.rule } else { CollisionRule?.none }
        }
        #expect(rules == [nil, .suffix, .suffix])
    }

    @Test func `under share items of a bucket get the same identifier, ranked by arrival`() throws {
        let items = ["a", "b"].map { Self.item($0, [1, 2, 3]) }
        let facts = MemoryFacts(inUse: [[1, 2, 3], [1, 2, 3]])
        #expect(
            try Self.decide(items, .share, facts: facts).map(\.outcome)
                == [2, 3].map { rank in
                    .gets(Assignment(codes: [1, 2, 3], bucket: [1, 2, 3], rank: rank, rule: .shared), .live)
                })
        // An item that is deleted first makes room in the count.
        var plan = try Self.plan(items, .share)
        let stored = StoredItem(codes: [1, 2, 3], natural: [1, 2, 3], status: .live)
        let left = try plan.delete(id("gone"), before: stored, facts: facts)
        #expect(left == ItemDecision.Left(codes: [1, 2, 3], bucket: [1, 2, 3]))
        guard case .gets(let found, _) = try plan.decide(items[0], row: 0, before: nil, facts: facts).outcome else {
            Issue.record("no identifier")
            return
        }
        #expect(found.rank == 1)
    }

    @Test func `a returning item gets its identifier back, or under reassign a new one for other natural codes`() throws
    {
        var facts = MemoryFacts(inUse: [[1, 2, 3]])
        facts.left[id("a")] = [Tombstone(codes: [1, 2, 3], bucket: [1, 2, 3], isLast: true)]
        let same = [Self.item("a", [1, 2, 3])]
        let other = [Self.item("a", [0, 0, 0])]
        let back = Assignment(codes: [1, 2, 3], bucket: [1, 2, 3], wasLeft: true)
        let returned = ItemDecision.Event(old: nil, new: [1, 2, 3], why: .returned)
        for onEdit in EditPolicy.allCases {
            let decision = try Self.decide(same, onEdit: onEdit, facts: facts)[0]
            #expect(decision == ItemDecision(outcome: .gets(back, .live), event: returned), "\(onEdit)")
        }
        let kept = try Self.decide(other, onEdit: .keep, facts: facts)[0]
        #expect(kept == ItemDecision(outcome: .gets(back, .stale), event: returned))
        let reassigned = try Self.decide(other, onEdit: .reassign, facts: facts)[0]
        #expect(reassigned.demoted == facts.left[id("a")]?.first)
        #expect(reassigned.outcome == .gets(Assignment(codes: [0, 0, 0], bucket: [0, 0, 0]), .live))
        #expect(reassigned.event == .init(old: [1, 2, 3], new: [0, 0, 0], why: .reassigned))
    }

    @Test func `an edited item keeps its identifier and is stale, or under reassign leaves it for a new one`() throws {
        var facts = MemoryFacts(inUse: [[1, 2, 3]])
        facts.items[id("a")] = StoredItem(codes: [1, 2, 3], natural: [1, 2, 3], status: .live)
        let edited = [Self.item("a", [0, 0, 0])]
        let keeps = try Self.decide(edited, onEdit: .keep, facts: facts)[0]
        #expect(
            keeps
                == ItemDecision(
                    outcome: .keeps([1, 2, 3], .stale, isExplained: false),
                    event: .init(old: [1, 2, 3], new: [1, 2, 3], why: .edited)))
        let reassigned = try Self.decide(edited, onEdit: .reassign, facts: facts)[0]
        #expect(
            reassigned
                == ItemDecision(
                    outcome: .gets(Assignment(codes: [0, 0, 0], bucket: [0, 0, 0]), .live),
                    left: .init(codes: [1, 2, 3], bucket: [1, 2, 3]),
                    event: .init(old: [1, 2, 3], new: [0, 0, 0], why: .reassigned)))
        // Unchanged codes change nothing.
        let unchanged = try Self.decide([Self.item("a", [1, 2, 3])], onEdit: .reassign, facts: facts)[0]
        #expect(unchanged == ItemDecision(outcome: .keeps([1, 2, 3], .live, isExplained: false)))
    }

    @Test func `a substitute that has become the natural codes needs no explanation any more`() throws {
        var facts = MemoryFacts(inUse: [[1, 2, 0]])
        facts.items[id("a")] = StoredItem(codes: [1, 2, 0], natural: [1, 2, 3], status: .live)
        facts.buckets[id("a")] = [1, 2, 3]
        let items = [Self.item("a", [1, 2, 0])]
        #expect(
            try Self.decide(items, onEdit: .reassign, facts: facts)[0].outcome
                == .keeps([1, 2, 0], .live, isExplained: true))
        #expect(
            try Self.decide(items, onEdit: .keep, facts: facts)[0].outcome
                == .keeps([1, 2, 0], .stale, isExplained: false))
    }

    @Test func `after a rebuild, when its old codes are unknown, an item keeps its identifier under either rule`()
        throws
    {
        var facts = MemoryFacts(inUse: [[1, 2, 3]])
        facts.items[id("a")] = StoredItem(codes: [1, 2, 3], natural: nil, status: .live)
        for onEdit in EditPolicy.allCases {
            let decision = try Self.decide([Self.item("a", [0, 0, 0])], onEdit: onEdit, facts: facts)[0]
            #expect(decision == ItemDecision(outcome: .keeps([1, 2, 3], .stale, isExplained: false)), "\(onEdit)")
        }
    }

    @Test func `codes of the wrong length, and an item that is twice in a chunk, are refused`() throws {
        #expect { try Self.decide([Self.item("a", [1, 2])]) } throws: { ($0 as? IndexError)?.reason == .wrongLength }
        #expect {
            try Self.decide([Self.item("b", [1, 2, 3]), Self.item("a", [1, 2, 3]), Self.item("b", [0, 0, 0])])
        } throws: {
            ($0 as? IndexError)?.reason == .inconsistent
        }
    }
}
