internal import Vocabulary

/// What can go wrong in the daemon itself.
struct DaemonError: Failure {
    /// Reasons, as `daemon.…` codes.
    enum Reason: String {
        case noGeneration = "no_generation"
        case dimensionMismatch = "dimension_mismatch"
        case notCaughtUp = "not_caught_up"
        case wrongLength = "wrong_length"
        case badConfiguration = "bad_configuration"
        case busy
        case deletionsHeld = "deletions_held"
        case nothingHeld = "nothing_held"
        case otherKernel = "other_kernel"
    }

    let reason: Reason
    let message: String
    let remedy: String
    let cause: (any Error)? = nil

    init(_ reason: Reason, _ message: String, remedy: String) {
        self.reason = reason
        self.message = message
        self.remedy = remedy
    }

    var code: String { "daemon.\(reason.rawValue)" }

    var kind: FailureKind {
        switch reason {
        case .noGeneration, .otherKernel: .unavailable
        case .dimensionMismatch, .wrongLength: .invalid
        case .badConfiguration: .configuration
        case .notCaughtUp, .busy: .temporary
        case .deletionsHeld, .nothingHeld: .conflict
        }
    }

    /// A tokenizer and the catalog have vectors of different widths.
    static func dimensions(of what: String, _ width: Int, catalog: Int) -> DaemonError {
        DaemonError(
            .dimensionMismatch, "\(what) takes vectors of \(width) numbers; the catalog has \(catalog).",
            remedy: "Publish a tokenizer trained on this catalog's embeddings.")
    }

    /// An index was begun with other BLAS kernels than this process has.
    static func kernel(of generation: Int, _ kernel: String, present: String) -> DaemonError {
        DaemonError(
            .otherKernel,
            "Generation \(generation) was begun with the BLAS kernels \(kernel); this process has \(present), which may give an item at the border of two codes another one.",
            remedy: "Start letterd with OPENBLAS_CORETYPE=\(kernel) if the CPU allows it, or publish the model again.")
    }

    /// Nothing has been published yet.
    static let noGeneration = DaemonError(
        .noGeneration, "No generation is active.", remedy: "Publish a tokenizer with `letter generation publish MODEL`."
    )
}
