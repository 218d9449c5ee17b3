import Glibc

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019), as PyTorch computes it.
package struct AdamW: Sendable, Codable, Equatable {
    /// Step size.
    package var learningRate: Double
    /// Share of the learning rate by which weights shrink a step.
    package var weightDecay: Double
    /// Decay of the first moment.
    package var beta1 = 0.9
    /// Decay of the second moment.
    package var beta2 = 0.999
    /// Added to the root of the second moment.
    package var epsilon = 1e-8

    package init(learningRate: Double = 1e-3, weightDecay: Double = 1e-4) {
        self.learningRate = learningRate
        self.weightDecay = weightDecay
    }

    /// The two moments of one parameter's gradient.
    package struct Moments: Sendable, Equatable {
        /// Running mean of the gradient.
        package var first: Matrix
        /// Running mean of its square.
        package var second: Matrix

        /// Zero moments for a parameter of this size.
        package init(rows: Int, columns: Int) {
            first = Matrix(rows: rows, columns: columns)
            second = first
        }
    }

    /// One step of one parameter; `step` counts from 1. In place, O(elements).
    package func update(_ value: inout Matrix, gradient: Matrix, moments: inout Moments, step: Int) {
        precondition(step > 0 && gradient.values.count == value.values.count, "sizes differ")
        precondition(moments.first.values.count == value.values.count, "the moments belong to another parameter")
        let keep = Float(1 - learningRate * weightDecay)
        let size = Float(learningRate / (1 - pow(beta1, Double(step))))
        let root = Float((1 - pow(beta2, Double(step))).squareRoot())
        let (b1, b2, a1, a2) = (Float(beta1), Float(beta2), Float(1 - beta1), Float(1 - beta2))
        let epsilon = Float(epsilon)
        value.withMutablePointer { p, count in
            gradient.withPointer { g, _ in
                moments.first.withMutablePointer { m, _ in
                    moments.second.withMutablePointer { v, _ in
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
