internal import Catalog
internal import IdentifierIndex
internal import Synchronization
internal import Tokenizer
internal import Vocabulary

/// One generation at work: its frozen tokenizer and its index, and the two threads that they block.
final class GenerationPipeline: Sendable {
    let number: Int
    let model: TokenizerModel
    let index: IdentifierIndex
    /// Milliseconds since 1970.
    let created: Int

    private let encoder: EncoderThread
    private let writer: WriterThread
    /// Kept in step with the index's own, so that nobody reads the disk to learn how far it is.
    private let progress: Mutex<Progress>

    /// How far the index is.
    struct Progress: Sendable {
        /// The version answered; nil before the first build is complete.
        var cursor: CatalogCursor?
        /// Items done and to do in the change set at hand.
        var done = 0
        var expected = 0
    }

    /// Items of a chunk: one transaction, and one unit of encoding. Larger ones spread the cost of fsync and sort more
    /// keys of the trie together; smaller ones are seen sooner and hold less memory.
    static let chunkItems = 8_192

    init(number: Int, model: TokenizerModel, index: IdentifierIndex, created: Int) throws {
        self.number = number
        self.model = model
        self.index = index
        self.created = created
        encoder = EncoderThread(model: model)
        writer = WriterThread(model: model, index: index)
        progress = Mutex(Progress(cursor: try index.cursor()))
    }

    /// How far the index is now.
    var state: Progress { progress.withLock { $0 } }

    /// Whether the index answers this version of the catalog.
    func answers(_ version: CatalogVersion) -> Bool { state.cursor == CatalogCursor(version) }

    /// Brings the index to the catalog's present version: compares, then encodes and writes chunk by chunk.
    ///
    /// While a chunk is written the next one is read and encoded. A death between chunks loses nothing: what is not yet
    /// in the index is found again by its digest.
    ///
    /// - Parameter between: awaited after each chunk.
    /// - Returns: the change set that was applied.
    @discardableResult
    func catchUp(_ catalog: CatalogWatch, now: () -> Int, between: () async throws -> Void = {}) async throws
        -> ChangeSet
    {
        let changes = try await catalog.changes { [index] in try index.known(after: $0, limit: Self.chunkItems) }
        progress.withLock {
            $0.done = 0
            $0.expected = changes.changed.count + changes.deleted.count
        }
        for start in stride(from: 0, to: changes.deleted.count, by: Self.chunkItems) {
            var chunk = Chunk()
            chunk.deleted = Array(changes.deleted[start..<min(start + Self.chunkItems, changes.deleted.count)])
            try await apply(Prepared(chunk: chunk), now: now())
        }
        var position = 0
        var next = try await prepare(changes.changed[...].prefix(Self.chunkItems), catalog)
        while true {
            position += Self.chunkItems
            let last = position >= changes.changed.count
            if last { next.chunk.cursor = CatalogCursor(changes.version) }
            if last {
                try await apply(next, now: now())
                break
            }
            let current = next
            let following = changes.changed[position..<min(position + Self.chunkItems, changes.changed.count)]
            async let prepared = prepare(following, catalog)
            try await apply(current, now: now())
            next = try await prepared
            try await between()
        }
        return changes
    }

    /// A chunk, and the latent vectors that its collisions are decided by.
    private struct Prepared: Sendable {
        var chunk: Chunk
        var latents: [Float] = []
    }

    private func prepare(_ items: ArraySlice<ItemID>, _ catalog: CatalogWatch) async throws -> Prepared {
        guard !items.isEmpty else { return Prepared(chunk: Chunk()) }
        let batch = try await catalog.vectors(of: items)
        let encoding = try await encoder.encode(batch.vectors, count: batch.items.count)
        var prepared = Prepared(chunk: Chunk(), latents: encoding.latents)
        prepared.chunk.rejected = batch.rejected.map { rejected in
            RejectedItem(
                id: rejected.item, digest: rejected.digest, reason: rejected.fault.rawValue,
                detail: rejected.fault.detail(byteCount: rejected.byteCount, width: model.inputWidth))
        }
        let levels = model.levels
        let unusable = Set(encoding.unusable)
        if !unusable.isEmpty { prepared.latents.removeAll(keepingCapacity: true) }
        prepared.chunk.encoded.reserveCapacity(batch.items.count)
        for row in 0..<batch.items.count {
            if unusable.contains(row) {
                prepared.chunk.rejected.append(
                    RejectedItem(
                        id: batch.items[row], digest: batch.digests[row], reason: "not_encodable",
                        detail: "The encoder's output for this vector is not finite."))
                continue
            }
            if !unusable.isEmpty {
                prepared.latents += encoding.latents[(row * model.latentWidth)..<((row + 1) * model.latentWidth)]
            }
            let range = (row * levels)..<((row + 1) * levels)
            prepared.chunk.encoded.append(
                EncodedItem(
                    id: batch.items[row], digest: batch.digests[row], natural: Identifier(encoding.codes[range]) ?? [],
                    quantisationError: encoding.quantisationErrors[row], margin: encoding.margins[range].min() ?? 0))
        }
        return prepared
    }

    private func apply(_ prepared: Prepared, now: Int) async throws {
        try await writer.apply(prepared.chunk, latents: prepared.latents, now: now)
        progress.withLock {
            $0.done += prepared.chunk.deleted.count + prepared.chunk.encoded.count + prepared.chunk.rejected.count
            if let cursor = prepared.chunk.cursor { $0.cursor = cursor }
        }
    }
}

extension CatalogCursor {
    init(_ version: CatalogVersion) {
        self.init(
            device: version.device, inode: version.inode, transaction: version.transaction, boot: version.boot)
    }
}

extension RecordFault {
    /// A sentence for the quarantine.
    func detail(byteCount: Int, width: Int) -> String {
        switch self {
        case .wrongSize: "The record has \(byteCount) bytes, which is not a vector of \(width) numbers."
        case .notFinite: "The vector holds a NaN or an infinity."
        }
    }
}

/// The thread that multiplies matrices.
private actor EncoderThread {
    private let thread = DedicatedThread(name: "encode")
    private let model: TokenizerModel
    private lazy var encoder = FrozenEncoder(model: model)

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(model: TokenizerModel) { self.model = model }

    func encode(_ vectors: [Float], count: Int) throws -> Encoding {
        try encoder.encode(vectors, count: count)
    }
}

/// The thread that writes to the index.
private actor WriterThread {
    private let thread = DedicatedThread(name: "index")
    private let index: IdentifierIndex
    private let model: TokenizerModel
    /// For the few items whose natural codes are taken; apart from the encoding thread's, whose scratch it is.
    private lazy var encoder = FrozenEncoder(model: model)

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(model: TokenizerModel, index: IdentifierIndex) {
        self.model = model
        self.index = index
    }

    func apply(_ chunk: Chunk, latents: [Float], now: Int) throws {
        try index.apply(chunk, ranking: LatentRanking(encoder: encoder, latents: latents), now: now)
    }
}

/// Orders codes by their distance to the residuals of a chunk's latent vectors.
private struct LatentRanking: CodeRanking {
    let encoder: FrozenEncoder
    /// (items of the chunk, latent width), row-major.
    let latents: [Float]

    func ranking(row: Int, below prefix: Identifier) throws -> [Code] {
        let width = encoder.model.latentWidth
        return try encoder.ranking(latent: latents[(row * width)..<((row + 1) * width)], prefix: prefix)
    }
}
