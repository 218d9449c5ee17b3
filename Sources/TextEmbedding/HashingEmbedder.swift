import Core

/// Embeds text without a model, by signed feature hashing followed by a sparse random projection.
///
/// The features of a text are its words, its pairs of neighbouring words, and the character trigrams of its words
/// (each word between two boundary marks). With tf(f) the number of occurrences of feature f and g(f) the weight of its
/// kind, the embedding x ∈ R^D is
///
///     w(f) = g(f) · √tf(f)
///     y_j  = Σ_f w(f) · Σ_{k<s} σ_k(f) · [c_k(f) = j]        s = 4
///     x    = y / ‖y‖
///
/// where the columns c_k(f) ∈ {0 … D−1} and the signs σ_k(f) = ±1 are taken from a 64-bit hash of f, and a trigram that
/// occurs in several words has its weight in the first of them. Each feature is thus hashed, with a sign, into a space that
/// is far too wide to store (Weinberger et al. 2009, "Feature hashing for large scale multitask learning"), and that space
/// is projected to D columns by a random matrix with s entries of ±1 in each row (Li, Hastie, Church 2006, "Very sparse
/// random projections"; Kane, Nelson 2014). Because of the signs the errors of inner products cancel: ⟨x, x'⟩ estimates the
/// cosine of the weighted feature vectors with a standard deviation of about 1/√D.
///
/// The weights are sublinear so that one repeated word does not outweigh all others. The root is used, and not 1 + ln,
/// because IEEE 754 defines how a square root is rounded. There is no inverse document frequency, because the embedding of a
/// text must not depend on other texts. Short words, the most frequent ones in most languages, have lower weights instead
/// (`Weight`).
///
/// It needs no download and no training, but it does not know meaning: texts are similar if they share words or pieces of
/// words. A trained model gives better embeddings.
///
/// - Complexity: O(length of the text + s · features + D) for a text.
package struct HashingEmbedder: TextEmbedder {
    package let name = "hashing/1"
    package let dimension: Int

    /// g(f): the weight of one occurrence of a feature, by kind.
    ///
    /// Chosen on 4,344 product texts by the share of an item's ten nearest neighbours that have its category: .44, as with a
    /// trained sentence embedder (.43), and .40 with `shortFactor` 1. They are powers of two, so that products are exact.
    private enum Weight {
        static let word: Float = 1
        /// Two consecutive words.
        static let pair: Float = 0.25
        /// Three consecutive characters of a word.
        static let trigram: Float = 0.25
        /// The factor for features of a word with fewer than `longWord` scalars.
        static let shortFactor: Float = 0.25
        static let longWord = 4
    }

    /// s, the number of entries in each row of the projection.
    private static let entriesPerRow = 4

    /// The widths that an embedder can have.
    package static let dimensions = 1...65_536

    /// An embedder for embeddings of this width.
    ///
    /// - Throws: `TextEmbeddingError` (`text_embedding.bad_dimension`) unless `dimension` is 1 to 65,536.
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
        // All sums can cancel, if very rarely. Such a text still needs an embedding of length one.
        if !normalise(&vector) {
            vector[Int(features.entries[0].hash % UInt64(dimension))] = 1
        }
    }
}

// MARK: - Features

extension HashingEmbedder {
    /// Constants that make the hashes of the three kinds of features differ.
    private enum Kind {
        static let word: UInt64 = 0x574F_5244
        static let pair: UInt64 = 0x5041_4952
        static let trigram: UInt64 = 0x5452_4947
    }

    /// FNV-1a of a word, finished by SplitMix64's output function, in which every bit of the word affects every bit.
    @inline(__always)
    private static func hash(_ word: ArraySlice<UInt32>) -> UInt64 {
        var hash = FNV1a()
        for scalar in word { hash.add(scalar) }
        return SplitMix64.mix(hash.value)
    }

    private func features(of text: String) -> FeatureCounts {
        var counts = FeatureCounts(capacity: min(2 * text.utf8.count, 4_096))
        var scanner = WordScanner()
        var previous: (hash: UInt64, factor: Float)?
        scanner.scan(text) { word in
            let hash = Self.hash(word[1..<word.count - 1])
            let factor = word.count - 2 < Weight.longWord ? Weight.shortFactor : 1
            counts.add(SplitMix64.mix(hash ^ Kind.word), weight: Weight.word * factor)
            if let previous {
                // Not symmetric: "web server" and "server web" are different pairs.
                counts.add(
                    SplitMix64.mix((previous.hash &* SplitMix64.increment) ^ hash ^ Kind.pair),
                    weight: Weight.pair * min(factor, previous.factor))
            }
            previous = (hash, factor)
            // A scalar has 21 bits, so a number of 63 bits holds three of them exactly.
            var window = UInt64(word[0]) << 21 | UInt64(word[1])
            for index in 2..<word.count {
                window = (window << 21 | UInt64(word[index])) & 0x7FFF_FFFF_FFFF_FFFF
                counts.add(SplitMix64.mix(SplitMix64.mix(window) ^ Kind.trigram), weight: Weight.trigram * factor)
            }
        }
        return counts
    }
}

// MARK: - Projection

extension HashingEmbedder {
    /// y_{c_k(f)} ← y_{c_k(f)} + w(f) · σ_k(f), for every feature f and all k < s.
    private func project(_ features: [FeatureCounts.Entry], into vector: inout [Float]) {
        let width = UInt64(dimension)
        for feature in features {
            let weight = feature.weight * Float(feature.count).squareRoot()
            var state = feature.hash
            for _ in 0..<Self.entriesPerRow / 2 {
                // 64 bits give two entries, with 31 bits for the column and one for the sign each.
                state &+= SplitMix64.increment
                let bits = SplitMix64.mix(state)
                let first = Int(truncatingIfNeeded: ((bits & 0x7FFF_FFFF) &* width) >> 31)
                let second = Int(truncatingIfNeeded: (((bits >> 32) & 0x7FFF_FFFF) &* width) >> 31)
                vector[first] += bits & 0x8000_0000 == 0 ? weight : -weight
                vector[second] += bits >> 63 == 0 ? weight : -weight
            }
        }
    }

    /// x = y / ‖y‖; false if the vector is zero. The squares are added in order, in Double.
    private func normalise(_ vector: inout [Float]) -> Bool {
        var sum = 0.0
        for value in vector { sum += Double(value) * Double(value) }
        guard sum > 0 else { return false }
        let scale = 1 / sum.squareRoot()
        for column in vector.indices { vector[column] = Float(Double(vector[column]) * scale) }
        return true
    }
}
