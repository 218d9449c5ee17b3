/// The loss terms of a batch.
package protocol LossTerms: Sendable {
    /// All terms as numbers, always as many and in the same order.
    var values: [Float] { get }
    /// Terms of these numbers.
    init(values: [Float])
    /// What training minimises; not finite where it diverged.
    var total: Float { get }
}

/// Weighted sums of loss terms over the batches of an epoch, in double.
struct LossSum: Codable {
    private var sums: [Double] = []
    private var weight = 0.0

    mutating func add(_ losses: some LossTerms, weight: Double) {
        let values = losses.values
        if sums.isEmpty { sums = [Double](repeating: 0, count: values.count) }
        for (index, value) in values.enumerated() { sums[index] += weight * Double(value) }
        self.weight += weight
    }

    /// The weighted mean of each term.
    var means: [Float] { sums.map { Float($0 / weight) } }
}
