import Tokenizer
import Glibc

extension Evaluation {
    /// How the items of a catalog spread over the N codes of one level.
    package struct LevelUsage: Sendable, Codable, Equatable {
        /// Codes that an item has.
        package var used: Int
        /// Codes that no item has.
        package var dead: Int
        /// −Σ p log₂ p in bits, p the share of items with a code; at most log₂ N.
        package var entropy: Double
        /// 2^entropy: so many codes used alike would have the same entropy.
        package var perplexity: Double
        /// Gini coefficient over all N codes, dead ones included: 0 if all have as many items, (N − 1) / N if one has all.
        package var gini: Double
        /// Share of the items that have the most frequent code.
        package var largestShare: Double

        enum CodingKeys: String, CodingKey {
            case used, dead, entropy, perplexity, gini
            case largestShare = "largest_share"
        }
    }

    /// Codes that stand together when sorted by frequency.
    package struct CodeGroup: Sendable, Codable, Equatable {
        /// Codes of the group.
        package var codes: Int
        /// Items that have one of them.
        package var items: Int

        /// Codes in a group, as the paper's Figure 6 has it.
        package static let size = 15

        /// The codes in groups of 15, the most frequent first. O(N log N).
        static func groups(_ counts: [Int]) -> [CodeGroup] {
            let sorted = counts.sorted(by: >)
            return stride(from: 0, to: sorted.count, by: size).map { start in
                let group = sorted[start..<min(start + size, sorted.count)]
                return CodeGroup(codes: group.count, items: group.reduce(0, +))
            }
        }
    }
}

extension Evaluation.LevelUsage {
    /// - Parameter counts: how many items have each of the N codes. O(N log N).
    init(counts: [Int]) {
        let total = Double(counts.reduce(0, +))
        used = counts.count { $0 > 0 }
        dead = counts.count - used
        entropy = 0
        for count in counts where count > 0 {
            let share = Double(count) / total
            entropy -= share * log2(share)
        }
        // −1 · log₂ 1 is −0.
        entropy = max(0, entropy)
        perplexity = exp2(entropy)
        // G = 2 Σ i xᵢ / (N Σ x) − (N + 1) / N, x ascending, i from 1.
        var weighted = 0.0
        for (place, count) in counts.sorted().enumerated() { weighted += Double(place + 1) * Double(count) }
        let n = Double(counts.count)
        gini = total > 0 ? max(0, 2 * weighted / (n * total) - (n + 1) / n) : 0
        largestShare = total > 0 ? Double(counts.max() ?? 0) / total : 0
    }
}
