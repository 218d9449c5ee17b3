import TestSupport
import Testing
import Core

@testable import Catalog

/// One transaction on a catalog, as data, so that either writer can make it.
struct ScriptedTransaction {
    enum Operation {
        case put(ItemID, [Float])
        case delete(ItemID)
        case item(ItemID, String)
        case cf(ItemID, [Float])
    }

    var operations: [Operation] = []
    var isPlain = false
    var limits = ChangeLogLimits()

    /// Makes it with the Swift writer, or with bare LMDB.
    func run(_ path: String) throws {
        if isPlain {
            for name in ["embeddings", "items", "cf"] {
                try plainWrite(path, name) { transaction, database in
                    for operation in operations {
                        switch (operation, name) {
                        case (.put(let id, let vector), "embeddings"), (.cf(let id, let vector), "cf"):
                            try transaction.put(database, key: id.bytes, value: vector.withUnsafeBytes { Array($0) })
                        case (.item(let id, let json), "items"):
                            try transaction.put(database, key: id.bytes, value: Array(json.utf8))
                        case (.delete(let id), _): _ = try transaction.delete(database, id.bytes)
                        default: break
                        }
                    }
                }
            }
            return
        }
        try cooperate(path, limits: limits) { transaction in
            for operation in operations {
                switch operation {
                case .put(let id, let vector): try transaction.put(embedding: vector, of: id)
                case .delete(let id): _ = try transaction.delete(id)
                case .item(let id, let json): try transaction.put(json: Array(json.utf8), of: id)
                case .cf(let id, let vector): try transaction.put(collaborative: vector, of: id)
                }
            }
        }
    }
}

extension SeededGenerator {
    /// A few operations on a small set of items, so that they meet often.
    mutating func operations(_ count: Int, ids: [ItemID]) -> [ScriptedTransaction.Operation] {
        (0..<count).map { _ in
            let id = ids.randomElement(using: &self) ?? ItemID(unchecked: [0])
            return switch Int.random(in: 0..<10, using: &self) {
            case 0..<6: .put(id, [Float(Int.random(in: 0..<5, using: &self)), 1])
            case 6..<8: .delete(id)
            case 8: .item(id, "{}")
            default: .cf(id, [1])
            }
        }
    }
}

/// What the log must be, kept by arithmetic alone: which of its entries are there and which are gaps.
struct ModelLog {
    var limit: Int
    /// The catalog as it is, to tell which deletions delete.
    var items: Set<ItemID> = []
    var others: Set<ItemID> = []
    var first = 1
    var next = 2
    var lastGap = 1
    var isLastPlain = false

    /// Notes a transaction.
    mutating func note(_ transaction: ScriptedTransaction) {
        var entries = 0
        var touched = false
        for operation in transaction.operations {
            switch operation {
            case .put(let id, _):
                items.insert(id)
                entries += 1
            case .delete(let id):
                if items.remove(id) != nil { entries += 1 }
                if others.remove(id) != nil { touched = true }
            case .item(let id, _), .cf(let id, _):
                others.insert(id)
                touched = true
            }
        }
        guard entries > 0 || touched else { return }
        if transaction.isPlain {
            isLastPlain = true
            return
        }
        if isLastPlain || entries > limit {
            lastGap = next
            next += 1
        } else {
            next += entries
        }
        isLastPlain = false
        first = max(first, next - limit)
    }
}

@Suite("The change log, properties")
struct ChangeLogPropertyTests {
    @Test func `replaying any prefix of the log and then the rest equals doing it at once`() throws {
        for seed in UInt64(1)...12 {
            let folder = TemporaryDirectory()
            let path = folder["c"]
            var random = SeededGenerator(seed: seed)
            try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
            let ids = (0..<25).map { _ in ItemID(unchecked: random.bytes(1...6)) }
            var follower = Follower()
            try follower.catchUp(path)
            var prefixes = [follower]
            var done = [0]
            for _ in 0..<15 {
                try ScriptedTransaction(operations: random.operations(Int.random(in: 1...9, using: &random), ids: ids))
                    .run(path)
                guard case .log(let entries) = try follower.catchUp(path) else {
                    Issue.record("the log does not tell, seed \(seed)")
                    return
                }
                prefixes.append(follower)
                done.append((done.last ?? 0) + entries)
            }
            let expected = try contents(path)
            for (prefix, entries) in zip(prefixes, done) {
                var rest = prefix
                #expect(try rest.catchUp(path) == .log(entries: (done.last ?? 0) - entries), "seed \(seed)")
                #expect(rest.known == expected, "seed \(seed)")
                #expect(rest.cursor == follower.cursor, "seed \(seed)")
            }
        }
    }

    @Test(arguments: UInt64(1)...30)
    func `any mix of writers converges, and the log is believed when and only when it may be`(seed: UInt64) throws {
        let folder = TemporaryDirectory()
        let path = folder["c"]
        var random = SeededGenerator(seed: seed)
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
        let ids = (0..<20).map { _ in ItemID(unchecked: random.bytes(1...6)) }
        // The databases are there from the start: to make one would be a commit that the model does not know of.
        try ScriptedTransaction(operations: [.item(ids[0], "{}"), .cf(ids[0], [1]), .delete(ids[0])]).run(path)
        var model = ModelLog(limit: Int.random(in: 3...40, using: &random))
        let plainShare = [0.0, 0.02, 0.1, 0.4][Int(seed % 4)]
        var followers = [Follower(), Follower(), Follower()]
        // Where each follower's position is; nil where it has none.
        var positions: [Int?] = [nil, nil, nil]
        var used = (log: 0, scan: 0)
        for step in 0..<60 {
            var transaction = ScriptedTransaction()
            transaction.limits = ChangeLogLimits(entries: model.limit)
            let many = Double.random(in: 0..<1, using: &random) < 0.03
            transaction.operations = random.operations(
                many ? 60 : Int.random(in: 0...5, using: &random), ids: Array(Set(ids)).sorted())
            transaction.isPlain = Double.random(in: 0..<1, using: &random) < plainShare
            try transaction.run(path)
            model.note(transaction)
            for index in followers.indices where Int.random(in: 0..<(4 << (2 * index)), using: &random) == 0 {
                let mayBelieve = positions[index].map { $0 >= model.first && $0 >= model.lastGap } ?? false
                let way = try followers[index].catchUp(path)
                #expect(
                    way.isLog == (mayBelieve && !model.isLastPlain),
                    "seed \(seed), step \(step), follower \(index): \(way), \(model)")
                #expect(followers[index].known == (try contents(path)), "seed \(seed), step \(step)")
                positions[index] = model.isLastPlain ? nil : model.next - 1
                #expect((followers[index].cursor?.log != nil) == !model.isLastPlain, "seed \(seed), step \(step)")
                if way.isLog { used.log += 1 } else { used.scan += 1 }
            }
        }
        // Both ways were taken, so that neither half of the claim is empty.
        #expect(used.scan > 0, "seed \(seed)")
        if plainShare < 0.1, model.limit > 20 { #expect(used.log > 0, "seed \(seed)") }
    }
}
