package import Core

/// The state of a generation.
package enum GenerationState: String, Codable, Sendable, CaseIterable {
    /// Its index is being built from the catalog.
    case building
    /// Its index is built and kept up to date; it can be promoted.
    case candidate
    /// It answers requests.
    case active
    /// It was active, and can be promoted again.
    case retired
    /// It can never become active; `failure` says why.
    case failed
}

/// The tokenizer of a generation.
package struct ModelFacts: Codable, Sendable, Hashable {
    /// Codes in an identifier.
    package var levels: Int
    /// Rows of each level's codebook.
    package var codebookSizes: [Int]
    /// Dimension of the embeddings that it encodes.
    package var dimension: Int
    /// Dimension of the codebooks' rows.
    package var latentDimension: Int?
    /// The embedding model it was trained on.
    package var embeddingModel: String?
    /// SHA-256 of its tensors, in hexadecimal.
    package var sha256: String?

    package init(
        levels: Int, codebookSizes: [Int], dimension: Int, latentDimension: Int? = nil, embeddingModel: String? = nil,
        sha256: String? = nil
    ) {
        self.levels = levels
        self.codebookSizes = codebookSizes
        self.dimension = dimension
        self.latentDimension = latentDimension
        self.embeddingModel = embeddingModel
        self.sha256 = sha256
    }

    private enum CodingKeys: String, CodingKey {
        case levels, dimension, sha256
        case codebookSizes = "codebook_sizes"
        case latentDimension = "latent_dimension"
        case embeddingModel = "embedding_model"
    }
}

/// One generation: a published tokenizer with its index.
package struct GenerationInfo: Codable, Sendable, Hashable {
    package var number: Int
    package var state: GenerationState
    /// Items in its index.
    package var items: Int
    /// Items that its index will have once it is built, if that is known.
    package var itemsExpected: Int?
    /// Progress of the index build, 0 to 1; 1 once it is built.
    package var progress: Double
    package var created: Timestamp
    /// When it last became active.
    package var promoted: Timestamp?
    package var model: ModelFacts?
    /// How its collisions are resolved; nil while its index is closed.
    package var collisionPolicy: CollisionPolicy?
    /// Codes of an identifier: the model's levels, or one more under `suffix`; nil while its index is closed.
    package var identifierLength: Int?
    /// Why it failed.
    package var failure: ErrorBody?
    /// Nil and never empty, so that the member is absent where there is nothing to warn of.
    private var givenWarnings: [Problem]?

    /// What is suspicious about it although it works, such as a tokenizer that does not fit the catalog.
    package var warnings: [Problem] {
        get { givenWarnings ?? [] }
        set { givenWarnings = newValue.isEmpty ? nil : newValue }
    }

    package init(
        number: Int, state: GenerationState, items: Int, itemsExpected: Int? = nil, progress: Double,
        created: Timestamp, promoted: Timestamp? = nil, model: ModelFacts? = nil, failure: ErrorBody? = nil
    ) {
        self.number = number
        self.state = state
        self.items = items
        self.itemsExpected = itemsExpected
        self.progress = progress
        self.created = created
        self.promoted = promoted
        self.model = model
        self.failure = failure
    }

    private enum CodingKeys: String, CodingKey {
        case number, state, items, progress, created, promoted, model, failure
        case itemsExpected = "items_expected"
        case collisionPolicy = "collision_policy"
        case identifierLength = "identifier_length"
        case givenWarnings = "warnings"
    }
}

/// All generations, newest last, and which of them is active.
package struct GenerationsAnswer: Codable, Sendable, Hashable {
    /// The active generation; nil (JSON null) if there is none.
    package var active: Int?
    package var generations: [GenerationInfo]

    package init(active: Int?, generations: [GenerationInfo]) {
        self.active = active
        self.generations = generations
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(active, forKey: .active)
        try container.encode(generations, forKey: .generations)
    }
}

/// The name that a client chooses for an upload: 1 to 64 of `a-z 0-9 . _ -`, not starting with a dot; never a path.
package struct UploadName: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    package init?(_ text: String) {
        let allowed = text.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
        }
        // A leading dot would allow `.` and `..`, which name directories everywhere.
        guard allowed, (1...64).contains(text.utf8.count), !text.hasPrefix(".") else { return nil }
        self.text = text
    }

    package var description: String { text }
}

extension UploadName: Codable {
    /// - Throws: `control.bad_upload_name` for text that cannot be one.
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let name = UploadName(text) else { throw ControlError.badUploadName(text) }
        self = name
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// Confirms that one file was received.
package struct UploadReceipt: Codable, Sendable, Hashable {
    package var upload: String
    package var file: ModelFile
    package var bytes: Int

    package init(upload: String, file: ModelFile, bytes: Int) {
        self.upload = upload
        self.file = file
        self.bytes = bytes
    }
}
