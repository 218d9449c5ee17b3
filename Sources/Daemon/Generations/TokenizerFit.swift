import Core

/// How well a generation's tokenizer fits the catalog that it encodes.
///
/// A tokenizer of another catalog, or of other embeddings of the same width, encodes every item without an error, and its
/// identifiers say next to nothing. It shows in three ways, of which each is enough for a warning.
struct TokenizerFit: Sendable, Equatable {
    /// Items with an identifier, and those of them whose natural codes another item had.
    var items: Int
    var collisions: Int
    /// Mean quantisation error ‖r_L‖² of the catalog's items, and of the items of the training where the model records it.
    var error: Double?
    var trainingError: Double?
    /// What made the catalog's embeddings, and what made those of the training; empty or nil where it was not recorded.
    var embeddingModel: String?
    var trainingEmbeddingModel: String?

    /// Shares of collisions above this one are a warning. Trained tokenizers have less than one in a hundred; a catalog of
    /// near-duplicates may have one in four.
    static let mostCollisions = 0.4
    /// So are mean errors that exceed the training's by more than this factor. Items of the same kind that the training did
    /// not see have 1.0 to 1.4 times its error.
    static let greatestErrorRatio = 2.0
    /// Fewer items say nothing about either.
    static let fewestItems = 100

    /// What does not fit, one sentence each; empty if all does.
    var findings: [String] {
        var findings: [String] = []
        if let made = embeddingModel, let trained = trainingEmbeddingModel, !made.isEmpty, !trained.isEmpty,
            made != trained
        {
            findings.append("it was trained on embeddings of '\(trained)', and the catalog has embeddings of '\(made)'")
        }
        guard items >= Self.fewestItems else { return findings }
        if Double(collisions) > Self.mostCollisions * Double(items) {
            findings.append(
                "\(collisions) of \(items) items (\(Self.percent(collisions, of: items)) %) have natural codes that another item has"
            )
        }
        if let error, let trainingError, trainingError > 0, error > Self.greatestErrorRatio * trainingError {
            findings.append(
                "the mean quantisation error is \(Self.digits(error)), against \(Self.digits(trainingError)) in training"
            )
        }
        return findings
    }

    /// The warning for the status; nil if the tokenizer fits.
    func problem(of generation: Int) -> DaemonError? {
        let findings = findings
        guard !findings.isEmpty else { return nil }
        return DaemonError(
            .poorFit,
            "The tokenizer of generation \(generation) does not fit this catalog: \(findings.joined(separator: "; ")).",
            remedy:
                "Check that it was trained on this catalog and these embeddings, or train another with `letter tokenizer train --catalog`; answers stay available."
        )
    }

    private static func percent(_ part: Int, of whole: Int) -> String {
        let tenths = (1_000 * part + whole / 2) / whole
        return "\(tenths / 10).\(tenths % 10)"
    }

    /// Three significant digits are enough to compare by.
    private static func digits(_ value: Double) -> String {
        guard value < 1_000 else { return "\(Int(value.rounded()))" }
        let thousandths = Int((value * 1_000).rounded())
        let fraction = String(1_000 + thousandths % 1_000).dropFirst()
        return "\(thousandths / 1_000).\(fraction)"
    }
}
