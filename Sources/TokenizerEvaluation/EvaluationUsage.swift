import Tokenizer
import Glibc

extension Evaluation {
    /// How the items of a catalog are distributed over the N codes of one level.
    package struct LevelUsage: Sendable, Codable, Equatable {
        /// Codes that at least one item has.
        package var used: Int
        /// Codes that no item has.
        package var dead: Int
        /// −Σ p log₂ p in bits, where p is the share of items with each code; at most log₂ N.
        package var entropy: Double
        /// 2^entropy: the number of equally used codes that would have the same entropy.
        package var perplexity: Double
        /// The Gini coefficient over all N codes, dead ones included: 0 if all have the same number of items, (N − 1) / N if
        /// one has all items.
        package var gini: Double
        /// The share of the items that have the most frequent code.
        package var largestShare: Double

        enum CodingKeys: String, CodingKey {
            case used, dead, entropy, perplexity, gini
            case largestShare = "largest_share"
        }
    }

    /// Neighbouring codes in the order of their frequency.
    package struct CodeGroup: Sendable, Codable, Equatable {
        /// The number of codes in the group.
        package var codes: Int
        /// Items that have one of them.
        package var items: Int

        /// Codes in a group, as in Figure 6 of the paper.
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
    /// Measures. O(N log N).
    ///
    /// - Parameter counts: the number of items that have each of the N codes.
    init(counts: [Int]) {
        let total = Double(counts.reduce(0, +))
        used = counts.count { $0 > 0 }
        dead = counts.count - used
        entropy = 0
        for count in counts where count > 0 {
            let share = Double(count) / total
            entropy -= share * log2(share)
        }
        // If one code has all items, the entropy is −(1 · log₂ 1) = −0.
        entropy = max(0, entropy)
        perplexity = exp2(entropy)
        // G = 2 Σ i xᵢ / (N Σ xᵢ) − (N + 1) / N, with the counts xᵢ in ascending order and i from 1.
        var weighted = 0.0
        for (index, count) in counts.sorted().enumerated() { weighted += Double(index + 1) * Double(count) }
        let n = Double(counts.count)
        gini = total > 0 ? max(0, 2 * weighted / (n * total) - (n + 1) / n) : 0
        largestShare = total > 0 ? Double(counts.max() ?? 0) / total : 0
    }
}
