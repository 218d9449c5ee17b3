import Glibc

/// One step of Adam with decoupled weight decay (Loshchilov and Hutter 2019), as PyTorch computes it.
package struct AdamStep: Sendable {
    /// Decay β₁ of the first moment, and 1 − β₁.
    fileprivate let beta1: Float
    fileprivate let gain1: Float
    /// Decay β₂ of the second moment, and 1 − β₂.
    fileprivate let beta2: Float
    fileprivate let gain2: Float
    /// What the weights are multiplied by: 1 − η λ.
    fileprivate let keep: Float
    /// The learning rate divided by the first moment's bias correction: η / (1 − β₁ᵗ).
    fileprivate let size: Float
    /// The root of the second moment's bias correction: √(1 − β₂ᵗ).
    fileprivate let root: Float
    /// Added to the root of the second moment.
    fileprivate let epsilon: Float

    /// Step `number` of a parameter, counted from 1, with learning rate η and weight decay λ.
    package init(
        number: Int, learningRate: Double, weightDecay: Double, beta1: Double, beta2: Double, epsilon: Double
    ) {
        precondition(number > 0, "steps are counted from 1")
        (self.beta1, gain1) = (Float(beta1), Float(1 - beta1))
        (self.beta2, gain2) = (Float(beta2), Float(1 - beta2))
        keep = Float(1 - learningRate * weightDecay)
        size = Float(learningRate / (1 - pow(beta1, Double(number))))
        root = Float((1 - pow(beta2, Double(number))).squareRoot())
        self.epsilon = Float(epsilon)
    }
}

extension Matrix {
    /// Moves a parameter by one step with its gradient g, in place and in one pass. O(elements).
    ///
    ///     m ← β₁ m + (1 − β₁) g
    ///     v ← β₂ v + (1 − β₂) g²
    ///     x ← (1 − η λ) x − η m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)
    ///
    /// Elementwise, so the bits do not depend on the number of threads.
    ///
    /// - Precondition: all matrices are of one size.
    package mutating func move(by step: AdamStep, gradient: Matrix, first: inout Matrix, second: inout Matrix) {
        precondition(gradient.values.count == values.count, "the gradient has another size")
        precondition(
            first.values.count == values.count && second.values.count == values.count, "the moments have another size")
        let (b1, b2, a1, a2) = (step.beta1, step.beta2, step.gain1, step.gain2)
        let (keep, size, root, epsilon) = (step.keep, step.size, step.root, step.epsilon)
        withMutablePointer { p, count in
            gradient.withPointer { g, _ in
                first.withMutablePointer { m, _ in
                    second.withMutablePointer { v, _ in
                        Parallel.ranges(count, alignment: 16) { range in
                            for i in range {
                                m[i] = b1 * m[i] + a1 * g[i]
                                v[i] = b2 * v[i] + a2 * g[i] * g[i]
                                p[i] = p[i] * keep - size * m[i] / (v[i].squareRoot() / root + epsilon)
                            }
                        }
                    }
                }
            }
        }
    }
}
