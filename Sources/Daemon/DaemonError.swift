import Core
import Generations

/// What can go wrong in the daemon itself.
typealias DaemonError = ReasonedFailure<DaemonReason>

/// Reasons, as `daemon.…` codes.
enum DaemonReason: String, FailureReason {
    case noGeneration = "no_generation"
    case dimensionMismatch = "dimension_mismatch"
    case notCaughtUp = "not_caught_up"
    case wrongLength = "wrong_length"
    case badConfiguration = "bad_configuration"
    case busy
    case deletionsHeld = "deletions_held"
    case nothingHeld = "nothing_held"
    case otherArithmetic = "other_arithmetic"
    case poorFit = "poor_fit"

    static let module = "daemon"

    var kind: FailureKind {
        switch self {
        case .noGeneration, .otherArithmetic: .unavailable
        case .dimensionMismatch, .wrongLength, .poorFit: .invalid
        case .badConfiguration: .configuration
        case .notCaughtUp, .busy: .temporary
        case .deletionsHeld, .nothingHeld: .conflict
        }
    }
}

extension DaemonError {
    /// A tokenizer and the catalog have embeddings of different widths.
    static func dimensions(of what: String, _ width: Int, catalog: Int) -> DaemonError {
        DaemonError(
            .dimensionMismatch, "\(what) takes embeddings of width \(width); the catalog has \(catalog).",
            remedy: "Publish a tokenizer trained on this catalog's embeddings.")
    }

    /// An index was begun by a version that sums in another order than this one.
    static func arithmetic(of generation: Int, _ other: String, present: String) -> DaemonError {
        DaemonError(
            .otherArithmetic,
            "Generation \(generation) was begun with the arithmetic \(other); this version has \(present), which may choose another code for an item that is equally near to two.",
            remedy: "Its answers stay right; publish the model again to encode all items the same way.")
    }

    /// A generation cannot answer in the stage that it is in.
    static func cannotAnswer(_ number: Int, _ stage: GenerationStage) -> DaemonError {
        DaemonError(
            .busy, "Generation \(number) is \(stage.rawValue) and cannot answer.",
            remedy: stage == .retired
                ? "`letter generation promote \(number)` brings it back to work."
                : "Wait until `letter generation list` shows it as a candidate, or publish its model again.")
    }

    /// Deletions wait for confirmation.
    static func held(_ held: HeldDeletions, of generation: Int) -> DaemonError {
        DaemonError(
            .deletionsHeld,
            "The catalog lacks \(held.deletions) of the \(held.items) items of generation \(generation); they are kept.",
            remedy: "If that is right, confirm it with `letter catalog confirm`; if not, put the items back.")
    }

    /// Nothing has been published yet.
    static var noGeneration: DaemonError {
        DaemonError(
            .noGeneration, "No generation is active.",
            remedy: "Publish a tokenizer with `letter generation publish MODEL`.")
    }
}
