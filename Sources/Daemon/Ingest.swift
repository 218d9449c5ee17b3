internal import Catalog
internal import ControlAPI
internal import Generations
internal import IdentifierIndex
internal import Logging
internal import SQLiteStore
internal import Tokenizer
internal import Vocabulary

/// The loop that watches the catalog and keeps every generation at work in step with it.
struct Ingest: Sendable {
    let catalog: CatalogWatch
    let registry: GenerationRegistry
    let board: Board
    /// Where the registry's short writes run.
    let disk: BlockingPool
    let logger: Logger
    /// Milliseconds since 1970.
    let now: @Sendable () -> Int

    /// Pauses after a failure: doubled from the first to the last.
    private static let firstPause = Duration.milliseconds(100)
    private static let lastPause = Duration.seconds(5)

    /// Runs until cancelled.
    ///
    /// - Throws: when a write to the disk failed in a way that must not be tried again.
    func run() async throws {
        var pause = Self.firstPause
        while !Task.isCancelled {
            do {
                let version = try await turn()
                if board.note(.catalog, nil) { logger.info("the catalog can be read") }
                pause = Self.firstPause
                if let version { await catalog.change(from: version) }
            } catch let error as StoreError where error.reason == .io {
                // After a failed fsync nobody knows what is on the disk: only a new start can find out.
                logger.critical("writing failed, letterd ends", metadata: ["error": "\(error)"])
                throw error
            } catch is CancellationError {
                return
            } catch {
                if error is CatalogError { board.change { $0.seen = nil } }
                if board.note(.catalog, error) { logger.error("ingest pauses", metadata: ["error": "\(error)"]) }
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, Self.lastPause)
            }
        }
    }

    /// One look at the catalog and what follows from it. Returns the version if there was nothing to do.
    private func turn() async throws -> CatalogVersion? {
        let (version, format) = try await catalog.look()
        let state = board.now
        var worked = false
        if let active = state.active, !active.answers(version) {
            try await catchUp(active, format)
            worked = true
        }
        for pipeline in state.others where !pipeline.answers(version) {
            do {
                try await build(pipeline, format)
            } catch let error where error is DaemonError || error is IndexError {
                // It can never be built; the active generation must not wait for it.
                try await abandon(pipeline, error)
            }
            worked = true
        }
        return worked ? nil : version
    }

    private func catchUp(
        _ pipeline: GenerationPipeline, _ format: CatalogFormat, between: () async throws -> Void = {}
    ) async throws {
        guard format.dimension == pipeline.model.inputWidth else {
            throw DaemonError(
                .dimensionMismatch,
                "Generation \(pipeline.number) takes vectors of \(pipeline.model.inputWidth) numbers; the catalog has \(format.dimension).",
                remedy: "Publish a tokenizer trained on this catalog's embeddings.")
        }
        let start = ContinuousClock.now
        let result = try await pipeline.catchUp(catalog, now: now, between: between)
        let took = start.duration(to: .now)
        board.change {
            $0.fullScans += 1
            $0.lastScan = result.scan
            $0.lastScanned = result.changes.scanned
        }
        logger.debug(
            "reconciled",
            metadata: [
                "generation": "\(pipeline.number)", "txnid": "\(result.changes.version.transaction)",
                "items": "\(result.changes.scanned)", "changed": "\(result.changes.changed.count)",
                "deleted": "\(result.changes.deleted.count)", "took": "\(took.seconds)",
                "scan": "\(result.scan.seconds)", "read": "\(result.read.seconds)",
                "encode": "\(result.encode.seconds)", "quantise": "\(result.quantise.seconds)",
                "write": "\(result.write.seconds)",
            ])
    }

    /// Works on a generation that is not active; between chunks the active one is kept up to date.
    private func build(_ pipeline: GenerationPipeline, _ format: CatalogFormat) async throws {
        try await catchUp(pipeline, format) {
            guard let active = board.now.active else { return }
            let (version, format) = try await catalog.look()
            if !active.answers(version) { try await catchUp(active, format) }
        }
        try await disk.run { [registry] in try registry.markCandidate(pipeline.number) }
        guard board.now.active == nil else { return }
        // The first generation needs nobody's consent: there is nothing that it could make worse.
        try await activate(pipeline)
    }

    private func abandon(_ pipeline: GenerationPipeline, _ error: any Error) async throws {
        logger.error(
            "a generation cannot be built", metadata: ["generation": "\(pipeline.number)", "error": "\(error)"])
        board.change { state in state.others.removeAll { $0.number == pipeline.number } }
        let time = now()
        try await disk.run { [registry] in
            try registry.markFailed(pipeline.number, detail: ErrorBody(error).message, now: time)
        }
    }

    /// Makes a pipeline whose index is complete the active one.
    func activate(_ pipeline: GenerationPipeline) async throws {
        let time = now()
        try await disk.run { [registry] in try registry.promote(pipeline.number, now: time) }
        board.change { state in
            state.others.removeAll { $0.number == pipeline.number }
            state.active = pipeline
        }
        logger.notice("generation is active", metadata: ["generation": "\(pipeline.number)"])
    }
}
