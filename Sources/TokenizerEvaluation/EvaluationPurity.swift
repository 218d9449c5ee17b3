import Tokenizer
import Numerics
import Core

extension Evaluation {
    /// How well a prefix of the identifier predicts an item's category.
    package struct CategoryPurity: Sendable, Codable, Equatable {
        /// The figures for each depth of the categories' paths, the root first.
        package var depths: [Depth]

        /// Categories cut off at one depth.
        package struct Depth: Sendable, Codable, Equatable {
            /// How many names of a path are compared, from the root: 1 compares the root alone.
            package var depth: Int
            /// Items whose path is that long or longer; the others are left out.
            package var items: Int
            /// Distinct categories among them.
            package var categories: Int
            /// The share of the most frequent category: the purity of the empty prefix.
            package var largestShare: Double
            /// The purity of prefixes of 1 to L codes.
            package var prefixes: [Prefix]

            enum CodingKeys: String, CodingKey {
                case depth, items, categories
                case largestShare = "largest_share"
                case prefixes
            }
        }

        /// Prefixes of one length.
        package struct Prefix: Sendable, Codable, Equatable {
            /// Codes in the prefix.
            package var length: Int
            /// Distinct prefixes among the items.
            package var prefixes: Int
            /// The share of items whose category is the most frequent one among the items with the same prefix.
            package var purity: Double
            /// The same after the categories were shuffled among the items, the mean of five shuffles: the purity that
            /// follows from the sizes of the groups alone. A prefix that one item has is always pure.
            package var shuffled: Double
        }

        /// The greatest depth that is reported; longer paths are cut off.
        static let greatestDepth = 6
        private static let shuffles = 5
    }
}

extension Evaluation.CategoryPurity {
    /// Measures. O(n · L · depths).
    ///
    /// - Parameters:
    ///   - identifiers: the identifier of each row, of `levels` codes.
    ///   - order: the rows sorted by identifier, so that items with a common prefix are consecutive.
    ///   - categories: the path of categories of each row.
    init(identifiers: [Identifier], order: [Int], levels: Int, categories: [[String]]) {
        var random = Random(seed: 1)
        depths = []
        for depth in 1...Self.greatestDepth {
            let rows = order.filter { categories[$0].count >= depth }
            guard !rows.isEmpty else { break }
            var numbers: [[String]: Int] = [:]
            var labels = rows.map { row -> Int in
                let path = Array(categories[row].prefix(depth))
                let number = numbers[path] ?? numbers.count
                numbers[path] = number
                return number
            }
            let runs = (0...levels).map { Self.runs(rows, identifiers, length: $0) }
            let counter = LabelCounter(labels: numbers.count)
            let pure = runs.map { counter.purity($0, labels) }
            var shuffled = [Double](repeating: 0, count: levels + 1)
            for _ in 0..<Self.shuffles {
                random.shuffle(&labels)
                for length in 1...levels {
                    shuffled[length] += counter.purity(runs[length], labels) / Double(Self.shuffles)
                }
            }
            depths.append(
                Depth(
                    depth: depth, items: rows.count, categories: numbers.count, largestShare: pure[0],
                    prefixes: (1...levels).map { length in
                        Prefix(
                            length: length, prefixes: runs[length].count, purity: pure[length],
                            shuffled: shuffled[length])
                    }))
        }
    }

    /// The ranges of `rows` that have a prefix of this length in common.
    private static func runs(_ rows: [Int], _ identifiers: [Identifier], length: Int) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var start = 0
        var prefix = identifiers[rows[0]].prefix(length)
        for index in 1..<max(1, rows.count) {
            let next = identifiers[rows[index]].prefix(length)
            guard next != prefix else { continue }
            runs.append(start..<index)
            (start, prefix) = (index, next)
        }
        return runs + [start..<rows.count]
    }
}

/// Counts the labels within ranges of items.
private struct LabelCounter {
    let labels: Int

    /// Σ over the runs of the count of the run's most frequent label / number of items. O(labels + items).
    func purity(_ runs: [Range<Int>], _ values: [Int]) -> Double {
        var counts = [Int](repeating: 0, count: labels)
        var total = 0
        for run in runs {
            var most = 0
            for index in run {
                counts[values[index]] += 1
                most = max(most, counts[values[index]])
            }
            total += most
            for index in run { counts[values[index]] = 0 }
        }
        return Double(total) / Double(max(1, values.count))
    }
}
