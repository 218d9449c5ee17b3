import Tokenizer
import Numerics
import Core

extension Evaluation {
    /// Items whose natural identifier is not theirs alone.
    package struct Collisions: Sendable, Codable, Equatable {
        /// Distinct identifiers.
        package var distinct: Int
        /// 1 − distinct / items: what the paper's code calls the collision rate.
        package var rate: Double
        /// Items in buckets of two or more.
        package var sharedItems: Int
        /// Items in buckets of two or more / items.
        package var sharedRate: Double
        /// Buckets of two or more.
        package var sharedBuckets: Int
        /// Items in the largest bucket.
        package var largestBucket: Int
        /// The size that 99 of 100 buckets (those of one item included) do not exceed.
        package var p99Bucket: Int
        /// Sizes from 2 on, and how many buckets have each.
        package var bucketSizes: [BucketSize]
        /// Items with the same content: their embeddings are equal to the bit, and no tokenizer can tell them apart.
        package var duplicates: Duplicates
        /// 1 − distinct identifiers / distinct embeddings: the rate once duplicates are counted once.
        package var rateWithoutDuplicates: Double
        /// Items in buckets that hold two or more different embeddings.
        package var separableItems: Int

        enum CodingKeys: String, CodingKey {
            case distinct, rate
            case sharedItems = "shared_items"
            case sharedRate = "shared_rate"
            case sharedBuckets = "shared_buckets"
            case largestBucket = "largest_bucket"
            case p99Bucket = "p99_bucket"
            case bucketSizes = "bucket_sizes"
            case duplicates
            case rateWithoutDuplicates = "rate_without_duplicates"
            case separableItems = "separable_items"
        }
    }

    /// How many buckets have this many items.
    package struct BucketSize: Sendable, Codable, Equatable {
        package var size: Int
        package var buckets: Int
    }

    /// Groups of two or more items whose embeddings are equal to the bit.
    package struct Duplicates: Sendable, Codable, Equatable {
        /// Groups.
        package var groups: Int
        /// Items in them.
        package var items: Int
        /// Items in the largest.
        package var largest: Int
        /// Distinct embeddings of all items.
        package var distinctEmbeddings: Int

        enum CodingKeys: String, CodingKey {
            case groups, items, largest
            case distinctEmbeddings = "distinct_embeddings"
        }
    }
}

extension Evaluation.Collisions {
    /// Counts. O(n log n).
    ///
    /// - Parameters:
    ///   - order: the rows in the order of their identifiers, so that a bucket is a run.
    ///   - content: a number for each row, equal for equal embeddings.
    init(identifiers: [Identifier], order: [Int], content: [Int]) {
        let items = identifiers.count
        var sizes: [Int: Int] = [:]
        var separable = 0
        var start = 0
        while start < items {
            var end = start + 1
            while end < items, identifiers[order[end]] == identifiers[order[start]] { end += 1 }
            sizes[end - start, default: 0] += 1
            if order[start..<end].contains(where: { content[$0] != content[order[start]] }) { separable += end - start }
            start = end
        }
        var copies = [Int](repeating: 0, count: (content.max() ?? -1) + 1)
        for group in content { copies[group] += 1 }
        let sorted = sizes.sorted { $0.key < $1.key }
        distinct = sorted.reduce(0) { $0 + $1.value }
        rate = 1 - Double(distinct) / Double(items)
        sharedBuckets = distinct - sizes[1, default: 0]
        sharedItems = items - sizes[1, default: 0]
        sharedRate = Double(sharedItems) / Double(items)
        largestBucket = sorted.last?.key ?? 0
        var below = 0
        let rank = (99 * distinct + 99) / 100
        p99Bucket =
            sorted.first {
                below += $0.value
                return below >= rank
            }?.key ?? 0
        bucketSizes = sorted.filter { $0.key > 1 }.map { Evaluation.BucketSize(size: $0.key, buckets: $0.value) }
        let repeated = copies.filter { $0 > 1 }
        duplicates = Evaluation.Duplicates(
            groups: repeated.count, items: repeated.reduce(0, +), largest: repeated.max() ?? 0,
            distinctEmbeddings: copies.count)
        rateWithoutDuplicates = 1 - Double(distinct) / Double(copies.count)
        separableItems = separable
    }
}

/// Which rows of a matrix are equal to the bit.
struct ContentGroups {
    /// A number for each row, from 0 without gaps in order of appearance; equal rows have the same.
    private(set) var group: [Int] = []

    /// Hashes every row and compares those whose hashes agree. O(elements).
    init(_ matrix: Matrix) {
        // For each hash the rows that stand for the groups with it; two only where different rows hash alike.
        var known: [UInt64: [(row: Int, group: Int)]] = [:]
        var next = 0
        group.reserveCapacity(matrix.rows)
        for row in 0..<matrix.rows {
            let values = matrix.row(row)
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for value in values {
                hash = (hash ^ UInt64(value.bitPattern)) &* 0x9e37_79b9_7f4a_7c15
                hash ^= hash >> 32
            }
            let candidates = known[hash, default: []]
            if let same = candidates.first(where: { Self.equal(matrix.row($0.row), values) }) {
                group.append(same.group)
            } else {
                known[hash, default: []].append((row, next))
                group.append(next)
                next += 1
            }
        }
    }

    private static func equal(_ left: ArraySlice<Float>, _ right: ArraySlice<Float>) -> Bool {
        zip(left, right).allSatisfy { $0.bitPattern == $1.bitPattern }
    }
}
