import Tokenizer
import Numerics
import Core

extension Evaluation {
    /// How many items share their natural identifier with others. A bucket is the set of items with one identifier.
    package struct Collisions: Sendable, Codable, Equatable {
        /// Distinct identifiers.
        package var distinct: Int
        /// 1 − distinct / items, which the paper's code calls the collision rate.
        package var rate: Double
        /// Items in buckets of two or more.
        package var sharedItems: Int
        /// `sharedItems` / items.
        package var sharedRate: Double
        /// Buckets of two or more.
        package var sharedBuckets: Int
        /// Items in the largest bucket.
        package var largestBucket: Int
        /// The 99th percentile of the size of a bucket, buckets of one item included.
        package var p99Bucket: Int
        /// The number of buckets of each size, from 2 on.
        package var bucketSizes: [BucketSize]
        /// Items whose embeddings have the same bits, so that no tokenizer can separate them.
        package var duplicates: Duplicates
        /// 1 − distinct identifiers / distinct embeddings: the collision rate if duplicates are counted once.
        package var rateWithoutDuplicates: Double
        /// Items in buckets with two or more different embeddings.
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

    /// The number of buckets of one size.
    package struct BucketSize: Sendable, Codable, Equatable {
        /// Items in each of these buckets.
        package var size: Int
        /// The number of these buckets.
        package var buckets: Int
    }

    /// Groups of two or more items whose embeddings have the same bits.
    package struct Duplicates: Sendable, Codable, Equatable {
        /// The number of groups.
        package var groups: Int
        /// Items in these groups.
        package var items: Int
        /// Items in the largest group.
        package var largest: Int
        /// Distinct embeddings among all items.
        package var distinctEmbeddings: Int

        enum CodingKeys: String, CodingKey {
            case groups, items, largest
            case distinctEmbeddings = "distinct_embeddings"
        }
    }
}

extension Evaluation.Collisions {
    /// Counts. O(n).
    ///
    /// - Parameters:
    ///   - buckets: the buckets of all n rows.
    ///   - content: a number for each row, the same for rows with equal embeddings, from 0 without gaps.
    init(_ buckets: IdentifierBuckets, content: [Int]) {
        let items = buckets.rows.count
        var sizes: [Int: Int] = [:]
        for range in buckets.ranges { sizes[range.count, default: 0] += 1 }
        separableItems = buckets.shared.reduce(0) { total, rows in
            let first = content[rows[rows.startIndex]]
            return rows.contains { content[$0] != first } ? total + rows.count : total
        }
        var copies = [Int](repeating: 0, count: (content.max() ?? -1) + 1)
        for group in content { copies[group] += 1 }
        let sorted = sizes.sorted { $0.key < $1.key }
        distinct = buckets.distinct
        rate = 1 - Double(distinct) / Double(items)
        sharedBuckets = distinct - sizes[1, default: 0]
        sharedItems = buckets.sharedItems
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
    }
}

/// Groups of the rows of a matrix that have the same bits.
struct ContentGroups {
    /// The number of each row's group, from 0 without gaps in the order of first appearance.
    private(set) var group: [Int] = []

    /// Hashes every row, and compares rows with the same hash. O(elements).
    init(_ matrix: Matrix) {
        // For each hash a row of each group that has it. There is more than one group only if different rows have one hash.
        var known: [UInt64: [(row: Int, group: Int)]] = [:]
        var next = 0
        group.reserveCapacity(matrix.rows)
        for row in 0..<matrix.rows {
            let values = matrix.row(row)
            var hash = FNV1a()
            for value in values { hash.add(value.bitPattern) }
            let candidates = known[hash.value, default: []]
            if let same = candidates.first(where: { Self.equal(matrix.row($0.row), values) }) {
                group.append(same.group)
            } else {
                known[hash.value, default: []].append((row, next))
                group.append(next)
                next += 1
            }
        }
    }

    private static func equal(_ left: ArraySlice<Float>, _ right: ArraySlice<Float>) -> Bool {
        zip(left, right).allSatisfy { $0.bitPattern == $1.bitPattern }
    }
}
