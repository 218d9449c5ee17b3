/// A value that falls in equal steps from its start to a share of it, such as the learning rate over the epochs of a
/// stage.
package struct LinearDecay: Sendable {
    /// What it starts from.
    package var start: Double
    /// Share of the start that is left at the end; 1 keeps the value constant.
    package var finalShare: Double

    package init(from start: Double, finalShare: Double) {
        self.start = start
        self.finalShare = finalShare
    }

    /// The value at step `number` of `count`, counted from 1: start · (1 − (number − 1) / (count − 1) · (1 − share)); the
    /// start where there is one step.
    package func value(_ number: Int, of count: Int) -> Double {
        let past = count > 1 ? Double(number - 1) / Double(count - 1) : 0
        return start * (1 - past * (1 - finalShare))
    }
}

/// A weight that rises from zero in equal steps, such as a loss term's over the first epochs.
package struct LinearRamp: Sendable {
    /// The weight after the ramp.
    package var weight: Float
    /// Steps with less than the weight; 0 has all of it from the start.
    package var length: Int

    package init(to weight: Float, length: Int) {
        self.weight = weight
        self.length = length
    }

    /// The weight at step `number`, counted from 1: weight · min(1, number / (length + 1)).
    package func value(_ number: Int) -> Float {
        number > length ? weight : weight * Float(number) / Float(length + 1)
    }
}
