import Core

/// Embeds text without a model: signed feature hashing, then a sparse random projection.
///
/// The features of a text are its words, its pairs of neighbouring words, and the character trigrams of its words
/// (each word between two boundary marks). With tf(f) the number of times that feature f occurs and g(f) the weight of
/// its kind, the embedding x ∈ R^D is
///
///     w(f) = g(f) · √tf(f)
///     y_j  = Σ_f w(f) · Σ_{k<s} σ_k(f) · [c_k(f) = j]        s = 4
///     x    = y / ‖y‖
///
/// where the columns c_k(f) ∈ {0 … D−1} and the signs σ_k(f) = ±1 are read from a 64-bit hash of f, and a trigram of
/// several words has the weight that it has in the first of them. So each feature is hashed, with a sign, into a space
/// far too wide to store (Weinberger et al. 2009, "Feature hashing for large scale multitask learning"), and that space
/// is projected to D columns by a random matrix with s entries ±1 a row (Li, Hastie, Church 2006, "Very sparse random
/// projections"; Kane, Nelson 2014). The signs make the errors of inner products cancel: ⟨x, x'⟩ estimates the cosine
/// of the weighted feature vectors with a deviation of about 1/√D.
///
/// Sublinear weights keep one repeated word from drowning the rest; √ rather than 1 + ln because IEEE 754 rounds a
/// square root in one way only. There is no inverse document frequency: the embedding of a text must not depend on
/// other texts. Short words, in most languages the commonest, weigh less instead (`Weight`).
///
/// It needs no download and no training. It knows nothing of meaning: texts are close if they share words and parts of
/// words. Where a trained extractor is at hand, its vectors are better.
///
/// - Complexity: O(length of the text + s · features + D) for a text.
package struct HashingEmbedder: TextEmbedder {
    package let name = "hashing/1"
    package let dimension: Int

    /// What one occurrence of a feature weighs, by kind: g(f).
    ///
    /// Chosen on 4,344 product texts by how often an item's ten nearest neighbours are of its own category: .44, as
    /// with a trained sentence embedder (.43), and .40 with `shortFactor` 1. Powers of two keep products exact.
    private enum Weight {
        static let word: Float = 1
        /// Two words that follow each other.
        static let pair: Float = 0.25
        /// Three characters that follow each other in a word.
        static let trigram: Float = 0.25
        /// Factor for what comes from a word of fewer than `longWord` scalars.
        static let shortFactor: Float = 0.25
        static let longWord = 4
    }

    /// Entries in a row of the projection.
    private static let entriesPerRow = 4

    /// Widths that an embedder can have.
    package static let dimensions = 1...65_536

    /// An embedder of this width.
    ///
    /// - Throws: `TextEmbeddingError` unless `dimension` is 1 to 65,536.
    package init(dimension: Int) throws(TextEmbeddingError) {
        guard Self.dimensions.contains(dimension) else {
            throw TextEmbeddingError(
                .badDimension, "an embedding cannot be \(dimension) wide",
                remedy: "Choose a width from 1 to 65,536; 384 is a good start.")
        }
        self.dimension = dimension
    }

    package func embed(_ text: String, into vector: inout [Float]) throws(TextEmbeddingError) {
        let features = features(of: text)
        guard !features.entries.isEmpty else { throw .noText }
        if vector.count == dimension {
            for column in vector.indices { vector[column] = 0 }
        } else {
            vector = Array(repeating: 0, count: dimension)
        }
        project(features.entries, into: &vector)
        // Every sum can cancel, if hardly ever; such a text still needs a vector of length one.
        if !normalise(&vector) {
            vector[Int(features.entries[0].hash % UInt64(dimension))] = 1
        }
    }
}

// MARK: - Features

extension HashingEmbedder {
    /// Keeps the hashes of the three kinds apart.
    private enum Kind {
        static let word: UInt64 = 0x574F_5244
        static let pair: UInt64 = 0x5041_4952
        static let trigram: UInt64 = 0x5452_4947
    }

    private func features(of text: String) -> FeatureCounts {
        var counts = FeatureCounts(capacity: min(2 * text.utf8.count, 4_096))
        var scanner = WordScanner()
        var previous: (hash: UInt64, factor: Float)?
        scanner.scan(text) { word in
            let hash = StableHash.sequence(word[1..<word.count - 1])
            let factor = word.count - 2 < Weight.longWord ? Weight.shortFactor : 1
            counts.add(StableHash.mix(hash ^ Kind.word), weight: Weight.word * factor)
            if let previous {
                // Not symmetric: "web server" and "server web" are two pairs.
                counts.add(
                    StableHash.mix((previous.hash &* StableHash.golden) ^ hash ^ Kind.pair),
                    weight: Weight.pair * min(factor, previous.factor))
            }
            previous = (hash, factor)
            // A scalar has 21 bits, so three of them and nothing else make up the number that is hashed.
            var window = UInt64(word[0]) << 21 | UInt64(word[1])
            for index in 2..<word.count {
                window = (window << 21 | UInt64(word[index])) & 0x7FFF_FFFF_FFFF_FFFF
                counts.add(StableHash.mix(StableHash.mix(window) ^ Kind.trigram), weight: Weight.trigram * factor)
            }
        }
        return counts
    }
}

// MARK: - Projection

extension HashingEmbedder {
    /// Adds w(f) · σ_k(f) to column c_k(f), for every feature and k < s.
    private func project(_ features: [FeatureCounts.Entry], into vector: inout [Float]) {
        let width = UInt64(dimension)
        for feature in features {
            let weight = feature.weight * Float(feature.count).squareRoot()
            var state = feature.hash
            for _ in 0..<Self.entriesPerRow / 2 {
                // 64 bits give two entries: 31 bits of column and one of sign each.
                state &+= StableHash.golden
                let bits = StableHash.mix(state)
                let first = Int(truncatingIfNeeded: ((bits & 0x7FFF_FFFF) &* width) >> 31)
                let second = Int(truncatingIfNeeded: (((bits >> 32) & 0x7FFF_FFFF) &* width) >> 31)
                vector[first] += bits & 0x8000_0000 == 0 ? weight : -weight
                vector[second] += bits >> 63 == 0 ? weight : -weight
            }
        }
    }

    /// Scales to unit length; false if the vector is zero. The sum is taken in order, in Float64.
    private func normalise(_ vector: inout [Float]) -> Bool {
        var sum = 0.0
        for value in vector { sum += Double(value) * Double(value) }
        guard sum > 0 else { return false }
        let scale = 1 / sum.squareRoot()
        for column in vector.indices { vector[column] = Float(Double(vector[column]) * scale) }
        return true
    }
}
