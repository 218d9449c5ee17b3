internal import Catalog
internal import ControlAPI
internal import ControlServer
internal import Files
internal import Generations
internal import IdentifierIndex
internal import Logging
internal import Tokenizer
internal import Vocabulary

extension DaemonService {
    func generations() async throws -> GenerationsAnswer {
        let now = board.now
        let records = try await disk.run { [registry] in try registry.generations() }
        var infos: [GenerationInfo] = []
        for record in records { infos.append(try await info(record, now)) }
        return GenerationsAnswer(active: now.active?.number, generations: infos)
    }

    func receive(_ file: UploadFile, of upload: UploadName, length: Int?) async throws -> any UploadSink {
        let folder = state.upload(upload.text)
        return try await disk.run { [disk] in
            try FileSystem.makeDirectory(folder, parents: true, mode: 0o750)
            let path = folder + "/" + file.rawValue
            // A second try replaces what the first one left.
            try FileSystem.removeTree(path)
            return FileSink(path: path, file: try OpenFile(path, .create), disk: disk)
        }
    }

    func publish(upload: UploadName) async throws -> GenerationInfo {
        let time = ingest.now()
        let (record, model) = try await disk.run { [registry] in
            try registry.publish(upload: upload.text, now: time) { [board] model in
                guard let format = board.now.format, format.dimension != model.inputWidth else { return }
                throw DaemonError(
                    .dimensionMismatch,
                    "The tokenizer takes vectors of \(model.inputWidth) numbers; the catalog \(catalogPath) has \(format.dimension).",
                    remedy: "Publish a tokenizer trained on this catalog's embeddings.")
            }
        }
        let pipeline = try await open(record, model: model)
        board.change { $0.others.append(pipeline) }
        await catalog.wake()
        logger.notice("generation is published", metadata: ["generation": "\(record.number)"])
        return try await info(record, board.now)
    }

    func promote(_ generation: Int) async throws -> GenerationInfo {
        let record = try await disk.run { [registry] in try registry.generation(generation) }
        if board.now.active?.number == generation { return try await info(record, board.now) }
        guard record.stage == .candidate || record.stage == .retired else {
            throw DaemonError(
                .busy, "Generation \(generation) is \(record.stage.rawValue) and cannot answer yet.",
                remedy: "Wait until `letter generation list` shows it as a candidate.")
        }
        let pipeline: GenerationPipeline
        if let known = board.now.others.first(where: { $0.number == generation }) {
            pipeline = known
        } else {
            let opened = try await open(record, model: nil)
            // The ingest brings a retired generation up to date like any other before it may answer.
            board.change { $0.others.append(opened) }
            await catalog.wake()
            pipeline = opened
        }
        while true {
            if let seen = board.now.seen, pipeline.answers(seen) { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        try await ingest.activate(pipeline)
        return try await info(try await disk.run { [registry] in try registry.generation(generation) }, board.now)
    }

    /// Opens the index of a registered generation, and loads its model unless it is at hand.
    func open(_ record: GenerationRecord, model: TokenizerModel?) async throws -> GenerationPipeline {
        try await disk.run { [registry, state] in
            let model = try model ?? registry.model(record.number)
            let index = try IdentifierIndex(
                path: state.index(record.number),
                facts: .init(
                    generation: record.number, levels: model.levels, codesPerLevel: model.codesPerLevel,
                    model: record.model))
            return try GenerationPipeline(number: record.number, model: model, index: index, created: record.created)
        }
    }

    private func info(_ record: GenerationRecord, _ now: Board.State) async throws -> GenerationInfo {
        let pipeline =
            now.active?.number == record.number ? now.active : now.others.first { $0.number == record.number }
        var info = GenerationInfo(
            number: record.number, state: GenerationState(rawValue: record.stage.rawValue) ?? .failed, items: 0,
            progress: record.stage == .building ? 0 : 1, created: Timestamp(milliseconds: Int64(record.created)),
            promoted: record.promoted.map { Timestamp(milliseconds: Int64($0)) })
        if record.stage == .failed {
            info.failure = ErrorBody(
                code: "daemon.generation_failed", message: record.detail,
                remedy: "Publish a model that fits the catalog.",
                kind: .invalid)
        }
        guard let pipeline else { return info }
        let progress = pipeline.state
        info.items = try await disk.run { try pipeline.index.tally().live }
        if progress.cursor == nil {
            info.itemsExpected = progress.expected
            info.progress = progress.expected > 0 ? Double(progress.done) / Double(progress.expected) : 0
        }
        let model = pipeline.model
        info.model = ModelFacts(
            levels: model.levels, codebookSizes: Array(repeating: model.codesPerLevel, count: model.levels),
            dimension: model.inputWidth, latentDimension: model.latentWidth,
            embeddingModel: model.provenance.embeddingModel, sha256: record.model)
        return info
    }
}

/// Writes an upload to its file.
private struct FileSink: UploadSink {
    let path: String
    let file: OpenFile
    let disk: BlockingPool

    func write(_ bytes: [UInt8]) async throws {
        try await disk.run { try file.write(bytes) }
    }

    func finish() async throws {
        try await disk.run { try file.sync() }
    }

    func abort() async {
        // The name is free for the next try even if this fails: `receive` removes what is there, and so does a start.
        try? await disk.run { try FileSystem.removeTree(path) }
    }
}
