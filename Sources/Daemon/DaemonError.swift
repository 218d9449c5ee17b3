import Core

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

    static let module = "daemon"

    var kind: FailureKind {
        switch self {
        case .noGeneration, .otherArithmetic: .unavailable
        case .dimensionMismatch, .wrongLength: .invalid
        case .badConfiguration: .configuration
        case .notCaughtUp, .busy: .temporary
        case .deletionsHeld, .nothingHeld: .conflict
        }
    }
}

extension DaemonError {
    /// A tokenizer and the catalog have vectors of different widths.
    static func dimensions(of what: String, _ width: Int, catalog: Int) -> DaemonError {
        DaemonError(
            .dimensionMismatch, "\(what) takes vectors of \(width) numbers; the catalog has \(catalog).",
            remedy: "Publish a tokenizer trained on this catalog's embeddings.")
    }

    /// An index was begun by a version that takes sums in another order than this one.
    static func arithmetic(of generation: Int, _ other: String, present: String) -> DaemonError {
        DaemonError(
            .otherArithmetic,
            "Generation \(generation) was begun with the arithmetic \(other); this version has \(present), which may give an item at the border of two codes another one.",
            remedy: "Its answers stay right; publish the model again to have all items encoded alike.")
    }

    /// Nothing has been published yet.
    static var noGeneration: DaemonError {
        DaemonError(
            .noGeneration, "No generation is active.",
            remedy: "Publish a tokenizer with `letter generation publish MODEL`.")
    }
}
