import Core

/// The rules of assignment once more, as plainly as they can be written: everything in small arrays that are searched
/// from end to end. The index must agree with it.
struct AssignmentModel {
    var policy: CollisionPolicy
    var rules = AssignmentRules()
    let levels: Int
    let codes: Int
    let distances: RingDistances

    struct Item {
        var codes: Identifier?
        var natural: Identifier?
        var bucket: Identifier?
        var status = 0
    }

    struct Tombstone: Hashable {
        var codes: Identifier
        var item: String
        var bucket: Identifier
        var since: Int
        var deleted: Bool
    }

    struct Collision {
        var bucket: Identifier
        var codes: Identifier
        var rank: Int
        var rule: String
    }

    struct Event: Equatable {
        var item: String
        var old: Identifier?
        var new: Identifier?
        var why: String
    }

    private(set) var items: [String: Item] = [:]
    private(set) var tombstones: [Tombstone] = []
    private(set) var collisions: [String: Collision] = [:]
    private(set) var history: [Event] = []

    init(policy: CollisionPolicy, levels: Int, codes: Int, distances: RingDistances) {
        self.policy = policy
        self.levels = levels
        self.codes = codes
        self.distances = distances
    }

    mutating func delete(_ name: String, now: Int) {
        guard let item = items[name] else { return }
        if let codes = item.codes {
            bury(name, codes, item.bucket, deleted: true, now)
            history.append(Event(item: name, old: codes, new: nil, why: "deleted"))
        }
        items[name] = nil
    }

    mutating func reject(_ name: String) {
        items[name, default: Item()].status = 2
    }

    mutating func encode(_ name: String, _ natural: Identifier, now: Int) {
        if let item = items[name], let codes = item.codes { return edit(name, item, codes, natural, now) }
        let last = tombstones.first { $0.item == name && $0.deleted }
        if let last, last.bucket == natural || rules.onEdit == .keep {
            history.append(Event(item: name, old: nil, new: last.codes, why: "returned"))
            return give(name, last.codes, last.bucket, natural, returned: true)
        }
        for index in tombstones.indices where tombstones[index].item == name { tombstones[index].deleted = false }
        guard let (codes, collision, returned) = place(name, natural, now) else { return reject(name) }
        if let last {
            history.append(Event(item: name, old: last.codes, new: codes, why: "reassigned"))
        } else if returned {
            history.append(Event(item: name, old: nil, new: codes, why: "returned"))
        }
        give(name, codes, natural, natural, collision, returned: returned)
    }

    private mutating func edit(_ name: String, _ item: Item, _ codes: Identifier, _ natural: Identifier, _ now: Int) {
        var item = item
        if item.bucket != natural, rules.onEdit == .reassign, codes != natural,
            let (new, collision, returned) = place(name, natural, now)
        {
            bury(name, codes, item.bucket, deleted: false, now)
            items[name] = nil
            history.append(Event(item: name, old: codes, new: new, why: "reassigned"))
            return give(name, new, natural, natural, collision, returned: returned)
        }
        if codes == natural, rules.onEdit == .reassign, item.bucket != natural {
            item.bucket = natural
            collisions[name] = nil
        }
        if item.natural != natural { history.append(Event(item: name, old: codes, new: codes, why: "edited")) }
        item.natural = natural
        item.status = item.bucket == natural ? 0 : 1
        items[name] = item
    }

    private mutating func bury(_ name: String, _ codes: Identifier, _ bucket: Identifier?, deleted: Bool, _ now: Int) {
        tombstones.append(
            Tombstone(codes: codes, item: name, bucket: bucket ?? codes, since: now, deleted: deleted))
        collisions[name] = nil
    }

    private mutating func give(
        _ name: String, _ codes: Identifier, _ bucket: Identifier, _ natural: Identifier, _ found: Collision? = nil,
        returned: Bool
    ) {
        var collision = found
        if returned {
            let rank =
                switch policy {
                case .reassign: 0
                case .suffix: Int(codes[levels])
                case .share: items.values.count { $0.codes == codes }
                }
            if rank > 0 || (policy == .reassign && codes != bucket) {
                collision = Collision(bucket: bucket, codes: codes, rank: rank, rule: "returned")
            }
            tombstones.removeAll { $0.item == name && $0.codes == codes }
        } else if policy != .share {
            for tombstone in tombstones where tombstone.codes == codes && tombstone.item != name {
                history.append(Event(item: tombstone.item, old: codes, new: nil, why: "given_away"))
            }
            tombstones.removeAll { $0.codes == codes }
        }
        collisions[name] = collision
        items[name] = Item(codes: codes, natural: natural, bucket: bucket, status: bucket == natural ? 0 : 1)
    }

    private func isFree(_ codes: Identifier, _ now: Int) -> Bool {
        !items.values.contains { $0.codes == codes }
            && !tombstones.contains { tombstone in
                tombstone.codes == codes && rules.tombstoneReuse.map { now - tombstone.since <= $0 } ?? true
            }
    }

    private func place(_ name: String, _ natural: Identifier, _ now: Int) -> (Identifier, Collision?, Bool)? {
        let own = tombstones.filter { $0.item == name && $0.bucket == natural }
        if let last = own.max(by: { ($0.since, $1.codes) < ($1.since, $0.codes) }) { return (last.codes, nil, true) }
        switch policy {
        case .share:
            let owners = items.values.count { $0.codes == natural }
            let collision = Collision(bucket: natural, codes: natural, rank: owners, rule: "shared")
            return (natural, owners > 0 ? collision : nil, false)
        case .suffix:
            for suffix in 0...Int(Code.max) {
                let codes = natural.appending(Code(suffix))
                guard isFree(codes, now) else { continue }
                return (
                    codes, suffix > 0 ? Collision(bucket: natural, codes: codes, rank: suffix, rule: "suffix") : nil,
                    false
                )
            }
            return nil
        case .reassign:
            if isFree(natural, now) { return (natural, nil, false) }
            for depth in stride(from: levels - 1, through: 0, by: -1) {
                let ranking = distances.ranking(row: 0, below: natural.prefix(depth))
                for (rank, code) in ranking.enumerated() where code != natural[depth] {
                    let found = nearestFirst(below: natural.prefix(depth).appending(code)).first { isFree($0, now) }
                    guard let found else { continue }
                    let rule = depth == levels - 1 ? "nearest_free" : "next_prefix"
                    return (found, Collision(bucket: natural, codes: found, rank: rank, rule: rule), false)
                }
            }
            return nil
        }
    }

    private func nearestFirst(below prefix: Identifier) -> [Identifier] {
        if prefix.count == levels { return [prefix] }
        return distances.ranking(row: 0, below: prefix).flatMap { nearestFirst(below: prefix.appending($0)) }
    }
}

// MARK: - As lines of the index's tables

extension AssignmentModel {
    private static func quote(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789ABCDEF")
        return "X'" + bytes.map { "\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined() + "'"
    }

    private static func quote(_ codes: Identifier?) -> String { codes.map { quote($0.bytes) } ?? "NULL" }
    private static func quote(_ name: String) -> String { quote(Array(name.utf8)) }

    /// What every table must hold: the lines of `Self.queries`, table by table.
    var lines: [String: [String]] {
        var lines: [String: [String]] = [:]
        let known = items.sorted { $0.key < $1.key }
        lines["item"] = known.map { name, item in
            [Self.quote(name), Self.quote(item.codes), Self.quote(item.natural), "\(item.status)"].joined(
                separator: " ")
        }
        var owned: [(Identifier, String)] = []
        var nodes: [Identifier: Int] = [:]
        for (name, item) in known {
            guard let codes = item.codes else { continue }
            owned.append((codes, name))
            for length in 1..<codes.count where length == 1 || length < codes.count - 1 {
                nodes[codes.prefix(length), default: 0] += 1
            }
        }
        let leaves = owned.sorted { $0 < $1 }.map { "\(Self.quote($0)) \(Self.quote($1))" }
        lines["identifier"] = policy == .share ? [] : leaves
        lines["shared_identifier"] = policy == .share ? leaves : []
        lines["trie_node"] = nodes.map { path, count in
            "\(Self.quote(path.prefix(path.count - 1))) \(path[path.count - 1]) \(count)"
        }.sorted()
        lines["collision"] = collisions.sorted { $0.key < $1.key }.map { name, row in
            [Self.quote(name), Self.quote(row.bucket), Self.quote(row.codes), "\(row.rank)", row.rule]
                .joined(separator: " ")
        }
        lines["tombstone"] = tombstones.map { row in
            [
                Self.quote(row.codes), Self.quote(row.item), Self.quote(row.bucket), "\(row.since)",
                row.deleted ? "1" : "0",
            ].joined(separator: " ")
        }.sorted()
        lines["quarantine"] = known.filter { $0.value.status == 2 }.map { Self.quote($0.key) }
        lines["history"] = Set(history.map(\.item)).sorted().flatMap { name in
            history.filter { $0.item == name }.map { event in
                [Self.quote(name), Self.quote(event.old), Self.quote(event.new), event.why].joined(separator: " ")
            }
        }
        lines["tally"] = [
            "collisions \(collisions.count)", "live \(owned.count)",
            "quarantined \(items.values.count { $0.status == 2 })", "stale \(items.values.count { $0.status == 1 })",
            "tombstones \(tombstones.count)",
        ]
        return lines
    }

    static let queries: [String: String] = [
        "item":
            "SELECT quote(id) || ' ' || quote(codes) || ' ' || quote(natural) || ' ' || status FROM item ORDER BY id",
        "identifier": "SELECT quote(codes) || ' ' || quote(item) FROM identifier ORDER BY codes",
        "shared_identifier": "SELECT quote(codes) || ' ' || quote(item) FROM shared_identifier ORDER BY codes, item",
        "trie_node": "SELECT quote(prefix) || ' ' || code || ' ' || items AS line FROM trie_node ORDER BY line",
        "collision": """
        SELECT quote(item) || ' ' || quote(bucket) || ' ' || quote(codes) || ' ' || rank || ' ' || rule
        FROM collision ORDER BY item
        """,
        "tombstone": """
        SELECT quote(codes) || ' ' || quote(item) || ' ' || quote(bucket) || ' ' || since || ' ' || deleted AS line
        FROM tombstone ORDER BY line
        """,
        "quarantine": "SELECT quote(item) FROM quarantine ORDER BY item",
        "history": """
        SELECT quote(item) || ' ' || quote(old) || ' ' || quote(new) || ' ' || why FROM history
        ORDER BY item, sequence
        """,
        "tally": "SELECT name || ' ' || value FROM tally ORDER BY name",
    ]
}
