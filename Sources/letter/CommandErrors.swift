import Core

/// What `letter catalog …` finds wrong with its arguments and source files.
typealias CatalogCommandError = ReasonedFailure<CatalogCommandReason>

/// Reasons, as `catalog.…` codes in addition to those of the catalog itself.
enum CatalogCommandReason: String, FailureReason {
    case usage
    case wrongCount = "wrong_count"
    case duplicateID = "duplicate_id"
    case badInteractions = "bad_interactions"
    case unknownItem = "unknown_item"

    static let module = "catalog"

    var kind: FailureKind {
        switch self {
        case .usage: .usage
        case .wrongCount, .duplicateID, .badInteractions: .invalid
        case .unknownItem: .notFound
        }
    }
}

/// What `letter tokenizer …` finds wrong with its source files.
typealias TokenizerCommandError = ReasonedFailure<TokenizerCommandReason>

/// Reasons, as `tokenizer.…` codes in addition to those of the tokenizer itself.
enum TokenizerCommandReason: String, FailureReason {
    case wrongWidth = "wrong_width"
    case notFinite = "not_finite"
    case badItem = "bad_item"
    case noCategories = "no_categories"

    static let module = "tokenizer"
    var kind: FailureKind { .invalid }
}

/// What goes wrong in the command line itself.
typealias LetterError = ReasonedFailure<LetterReason>

/// Reasons, as `letter.…` codes.
enum LetterReason: String, FailureReason {
    /// A model that is to be published cannot be read.
    case modelUnreadable = "model_unreadable"
    /// `letterd` was not found.
    case noDaemonProgram = "no_letterd"
    /// `letterd` did not do what it was started for, and did not say why.
    case daemonProgramFailed = "letterd_failed"

    static let module = "letter"

    var kind: FailureKind {
        switch self {
        case .modelUnreadable, .noDaemonProgram: .unavailable
        case .daemonProgramFailed: .internal
        }
    }
}

extension ReasonedFailure {
    /// The same failure with another message, such as one that also names the line of a file.
    func with(message: String) -> Self { Self(reason, message, remedy: remedy, cause: cause) }
}
