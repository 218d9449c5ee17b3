package import Tokenizer
package import Autodiff
package import Numerics

/// The tokenizer's parameters and the losses of docs/tokenizer.md on a tape.
///
/// Gradient flow is "straight-through per level": residuals after level 1 carry no gradient, dẑ/dz = I, commitment
/// reaches the encoder through level 1 alone, and codebooks move by the codebook and diversity terms; with
/// `GradientFlow.asPaperReads` by the collaborative term too.
package final class TrainingNetwork {
    /// A linear layer.
    typealias Linear = (weight: Parameter, bias: Parameter)

    let encoder: [Linear]
    let decoder: [Linear]
    /// Codebooks, one a level, (N, d).
    package let codebooks: [Parameter]
    private(set) var settings: TrainingSettings
    /// Weight α of the collaborative term; starts as the settings have it.
    package var alpha: Float
    /// Weight β of the diversity term.
    package var beta: Float
    /// Step size and weight decay.
    package var optimizer: AdamW
    let tape = Tape()
    private var products = Matrix()

    /// All parameters.
    package var parameters: [Parameter] { (encoder + decoder).flatMap { [$0.weight, $0.bias] } + codebooks }

    /// One batch.
    package struct Batch {
        /// Semantic embeddings, scaled, (B, D).
        package var semantic: Matrix
        /// CF embeddings of the rows that have one, (kept, d).
        package var collaborative: Matrix
        /// Rows that have one, in the order of `collaborative`.
        package var kept: [Int]

        package init(semantic: Matrix, collaborative: Matrix, kept: [Int]) {
            self.semantic = semantic
            self.collaborative = collaborative
            self.kept = kept
        }
    }

    /// What a batch gave.
    package struct Outcome {
        /// The loss terms.
        package var losses: Losses
        /// Codes of each level, L × B.
        package var codes: [[Int]]
        /// Latent embeddings (B, d).
        package var latent: Matrix
        /// Quantised embeddings ẑ (B, d).
        package var quantised: Matrix
    }

    /// Starts from a model's values.
    ///
    /// - Precondition: the model has a decoder.
    package init(_ model: TokenizerModel, settings: TrainingSettings) {
        precondition(!model.decoder.isEmpty, "training needs a decoder")
        func linear(_ part: String, _ layers: [Layer]) -> [Linear] {
            layers.enumerated().map {
                (Parameter("\(part).\($0).weight", $1.weight), Parameter("\(part).\($0).bias", $1.bias))
            }
        }
        encoder = linear("encoder", model.encoder)
        decoder = linear("decoder", model.decoder)
        codebooks = model.codebooks.enumerated().map { Parameter("codebook.\($0)", $1) }
        self.settings = settings
        self.settings.levels = model.levels
        (alpha, beta, optimizer) = (settings.alpha, settings.beta, settings.optimizer)
    }

    /// Encoder and decoder with Xavier-normal weights and zero biases, codebooks zero.
    package static func untrained(
        inputWidth: Int, settings: TrainingSettings, scaling: InputScaling, random: inout Random
    ) throws -> TokenizerModel {
        func layers(_ widths: [Int]) -> [Layer] {
            zip(widths, widths.dropFirst()).map { input, output in
                let deviation = (2 / Double(input + output)).squareRoot()
                return Layer(
                    weight: random.normalMatrix(rows: output, columns: input, deviation: deviation),
                    bias: Matrix(rows: 1, columns: output))
            }
        }
        let widths = [inputWidth] + settings.hiddenWidths + [settings.latentWidth]
        let (encoder, decoder) = (layers(widths), layers(widths.reversed()))
        let book = Matrix(rows: settings.codesPerLevel, columns: settings.latentWidth)
        return try TokenizerModel(
            encoder: encoder, decoder: decoder,
            codebooks: [Matrix](repeating: book, count: settings.levels), scaling: scaling)
    }

    /// The model of the values at hand.
    package func model(scaling: InputScaling, provenance: ModelProvenance) throws -> TokenizerModel {
        func layers(_ part: [Linear]) -> [Layer] { part.map { Layer(weight: $0.weight.value, bias: $0.bias.value) } }
        return try TokenizerModel(
            encoder: layers(encoder), decoder: layers(decoder), codebooks: codebooks.map(\.value), scaling: scaling,
            provenance: provenance)
    }

    /// Losses of a batch, and their gradients added to the parameters' (cleared first).
    ///
    /// - Parameter positives: given a level and the codes of its items, the code drawn for each from the others of its
    ///   cluster; negative leaves the item out of the diversity term.
    package func backward(_ batch: Batch, positives: (Int, [Int]) -> [Int]) -> Outcome {
        for parameter in parameters { parameter.clearGradient() }
        tape.reset()
        var losses = Losses()
        let semantic = tape.constant(batch.semantic)
        let latent = run(encoder, semantic)
        let share = 1 / Float(codebooks.count)

        var terms: [(Tape.Variable, Float)] = []
        var codes: [[Int]] = []
        var chosen: [(Tape.Variable, Float)] = []
        var residual = tape.value(latent)
        for (level, parameter) in codebooks.enumerated() {
            let levelCodes = assign(residual, level: level)
            let book = tape.parameter(parameter)
            let embedding = tape.gather(book, levelCodes)
            let codebookLoss = tape.meanSquaredError(embedding, tape.constant(residual))
            terms.append((codebookLoss, share))
            losses.codebook.append(tape.scalar(codebookLoss))
            // Only the first residual carries a gradient; of the others the commitment is a number.
            if level == 0 {
                let commitment = tape.meanSquaredError(latent, tape.stopGradient(embedding))
                terms.append((commitment, settings.mu * share))
            }
            losses.commitment.append(tape.scalar(codebookLoss))
            let similarity = tape.productTransposed(embedding, book)
            let diversity = tape.crossEntropy(
                similarity, targets: positives(level, levelCodes), excluded: levelCodes)
            terms.append((diversity, beta * share))
            losses.diversity.append(tape.scalar(diversity))
            codes.append(levelCodes)
            chosen.append((embedding, 1))
            residual.add(tape.value(embedding), scaledBy: -1)
        }
        let sum = tape.weightedSum(chosen)
        let quantised = tape.straightThrough(latent, to: sum)
        let reconstruction = tape.meanSquaredError(run(decoder, quantised), semantic)
        terms.append((reconstruction, 1))
        losses.reconstruction = tape.scalar(reconstruction)
        if !batch.kept.isEmpty {
            // As the paper reads: the same value, and the gradient of the codes' embeddings too.
            let optimised =
                settings.gradientFlow == .asPublished
                ? quantised : tape.weightedSum([(quantised, 1), (sum, 1), (tape.stopGradient(sum), -1)])
            let logits = tape.productTransposed(
                tape.gather(optimised, batch.kept), tape.constant(batch.collaborative))
            let collaborative = tape.crossEntropy(logits, targets: Array(batch.kept.indices))
            terms.append((collaborative, alpha))
            losses.collaborative = tape.scalar(collaborative)
        }
        let total = tape.weightedSum(terms)
        losses.total =
            tape.scalar(total) + settings.mu * share * losses.commitment.dropFirst().reduce(0, +)
        tape.backward(from: total)
        return Outcome(losses: losses, codes: codes, latent: tape.value(latent), quantised: tape.value(quantised))
    }

    /// One AdamW step of every parameter that moves in a stage; `number` counts from 1.
    package func step(_ number: Int, stage: TrainingStage = .quantised) {
        for parameter in parameters(stage) { parameter.update(optimizer, step: number) }
    }

    /// Latents (rows, d) of scaled embeddings.
    package func encode(_ semantic: Matrix) -> Matrix {
        tape.reset()
        return tape.value(run(encoder, tape.constant(semantic)))
    }

    func run(_ layers: [Linear], _ input: Tape.Variable) -> Tape.Variable {
        var x = input
        for (number, layer) in layers.enumerated() {
            x = tape.linear(
                x, tape.parameter(layer.weight), bias: tape.parameter(layer.bias), rectify: number + 1 < layers.count)
        }
        return x
    }

    /// The code of each residual: the nearest, or where Sinkhorn is set for the level, the balanced one.
    private func assign(_ residual: Matrix, level: Int) -> [Int] {
        let book = codebooks[level].value
        let epsilon = settings.sinkhornEpsilon(level: level)
        if epsilon > 0 {
            residual.squaredDistances(to: book, into: &products)
            return Sinkhorn(epsilon: epsilon, iterations: settings.sinkhornIterations).assign(products)
        }
        products.resize(rows: book.rows, columns: residual.rows)
        BLAS.multiply(book, residual, transposeB: true, alpha: -2, into: &products)
        var codes = [Int](repeating: 0, count: residual.rows)
        var margins = [Float](repeating: 0, count: residual.rows)
        Nearest.inColumns(products, offsets: book.squaredNorms(), codes: &codes, margins: &margins)
        return codes
    }
}
