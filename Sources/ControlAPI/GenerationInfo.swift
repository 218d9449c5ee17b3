package import Core

/// Where a generation is in its life.
package enum GenerationState: String, Codable, Sendable, CaseIterable {
    /// Its index is being built from the catalog.
    case building
    /// Its index is built and kept up to date; it may be promoted.
    case candidate
    /// It answers.
    case active
    /// It was active.
    case retired
    /// It will never be active; `failure` says why.
    case failed
}

/// What a generation's tokenizer is.
package struct ModelFacts: Codable, Sendable, Hashable {
    /// Codes in an identifier.
    package var levels: Int
    /// Rows of each level's codebook.
    package var codebookSizes: [Int]
    /// Dimension of the embeddings it takes.
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
    /// Items its index holds.
    package var items: Int
    /// Items its index will hold when built, as far as is known.
    package var itemsExpected: Int?
    /// How far the build of its index is, 0 to 1; 1 once built.
    package var progress: Double
    package var created: Timestamp
    /// When it last became active.
    package var promoted: Timestamp?
    package var model: ModelFacts?
    /// What becomes of collisions in it; nil while it is not at work.
    package var collisionPolicy: CollisionPolicy?
    /// Codes of an identifier: the model's levels, or one more under `suffix`; nil while it is not at work.
    package var identifierLength: Int?
    /// Why it failed.
    package var failure: ErrorBody?

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
    }
}

/// Every generation, newest last, and which one is active.
package struct GenerationsAnswer: Codable, Sendable, Hashable {
    /// The active generation; nil (JSON null) when there is none.
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

/// The two files of a model that a client may upload.
package enum UploadFile: String, Codable, Sendable, CaseIterable {
    case manifest = "manifest.json"
    case tensors = "tokenizer.safetensors"

    /// Most bytes it may have.
    package var limit: Int {
        switch self {
        case .manifest: 1 << 20
        case .tensors: 1 << 30
        }
    }
}

/// The name a client gives an upload, never a path: 1 to 64 of `a-z 0-9 . _ -`, not starting with a dot.
package struct UploadName: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    package init?(_ text: String) {
        let allowed = text.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
        }
        // A leading dot would allow `.` and `..`, which are names of directories everywhere.
        guard allowed, (1...64).contains(text.utf8.count), !text.hasPrefix(".") else { return nil }
        self.text = text
    }

    package var description: String { text }
}

/// What was received of one file.
package struct UploadReceipt: Codable, Sendable, Hashable {
    package var upload: String
    package var file: UploadFile
    package var bytes: Int

    package init(upload: String, file: UploadFile, bytes: Int) {
        self.upload = upload
        self.file = file
        self.bytes = bytes
    }
}
