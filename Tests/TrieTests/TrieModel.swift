import TestSupport
import Trie
import Core

/// The trie as a dictionary of identifiers: slow, and obviously right.
struct TrieModel {
    let levels: Int
    var items: [Identifier: Int] = [:]

    mutating func apply(_ changes: [TrieChange]) {
        for change in changes {
            items[change.identifier, default: 0] += change.items
            if items[change.identifier] == 0 { items[change.identifier] = nil }
        }
    }

    func successors(of prefix: Identifier) -> [Code] {
        guard prefix.count < levels else { return [] }
        return Set(items.keys.filter { $0.prefix(prefix.count) == prefix }.map { $0[prefix.count] }).sorted()
    }

    func count(below prefix: Identifier) -> Int {
        items.reduce(0) { $0 + ($1.key.prefix(prefix.count) == prefix ? $1.value : 0) }
    }

    /// Prefixes to look up: of every length, of identifiers that are in the trie and of others.
    func prefixes(codes: Int, using random: inout SeededGenerator) -> [Identifier] {
        var result: [Identifier] = [[]]
        let present = items.keys.sorted()
        for _ in 0..<20 {
            let identifier =
                Bool.random(using: &random)
                ? present.randomElement(using: &random) ?? [] : Self.identifier(levels, codes, using: &random)
            for length in 1...levels { result.append(identifier.prefix(length)) }
        }
        // Longer than an identifier.
        if levels < Identifier.maximumLength, let any = present.first { result.append(any.appending(0)) }
        return result
    }

    static func identifier(_ levels: Int, _ codes: Int, using random: inout SeededGenerator) -> Identifier {
        Identifier((0..<levels).map { _ in Code(Int.random(in: 0..<codes, using: &random)) }) ?? []
    }

    /// A base of these items.
    func base() throws -> TrieBase {
        var builder = TrieBuilder(levels: levels)
        for (identifier, items) in items.sorted(by: { $0.key < $1.key }) {
            try builder.append(identifier, items: items)
        }
        return builder.finish()
    }
}
