import Catalog
import ControlAPI
import ControlServer
import Files
import Generations
import IdentifierIndex
import Logging
import Tokenizer
import Core

extension DaemonService {
    func generations() async throws -> GenerationsAnswer {
        let records = try await disk.run { [registry] in try registry.generations() }
        let now = board.now
        return GenerationsAnswer(active: now.active?.number, generations: records.map { info($0, now) })
    }

    func receive(_ file: ModelFile, of upload: UploadName) async throws -> any UploadSink {
        try await ingest.endingIfFatal {
            try await models.run { [state, models, ingest] in
                let file = try state.receive(file.rawValue, of: upload.text)
                return FileSink(file: file, models: models, ingest: ingest)
            }
        }
    }

    func publish(upload: UploadName) async throws -> GenerationInfo {
        let time = Self.milliseconds()
        let (record, model) = try await ingest.endingIfFatal {
            try await models.run { [registry, board] in
                try registry.publish(upload: upload.text, now: time) { model in
                    guard let format = board.now.format, format.dimension != model.inputWidth else { return }
                    throw DaemonError.dimensions(of: "The tokenizer", model.inputWidth, catalog: format.dimension)
                }
            }
        }
        logger.notice("generation is published", metadata: ["generation": "\(record.number)"])
        await ingest.adopt(record, model: model)
        return info(record, board.now)
    }

    func promote(_ generation: Int) async throws -> GenerationInfo {
        try await ingest.promote(generation)
        let record = try await disk.run { [registry] in try registry.generation(generation) }
        return info(record, board.now)
    }

    func confirmDeletions() async throws -> ConfirmAnswer {
        ConfirmAnswer(
            confirmed: try await ingest.confirmDeletions().map {
                .init(generation: $0.generation, deletions: $0.held.deletions, items: $0.held.items)
            })
    }

    private func info(_ record: GenerationRecord, _ now: DaemonState.State) -> GenerationInfo {
        var info = GenerationInfo(
            number: record.number, state: GenerationState(rawValue: record.stage.rawValue) ?? .failed, items: 0,
            progress: record.stage == .building ? 0 : 1, created: Timestamp(milliseconds: Int64(record.created)),
            promoted: record.promoted.map { Timestamp(milliseconds: Int64($0)) })
        if record.stage == .failed {
            info.failure = ErrorBody(
                code: "daemon.generation_failed", message: record.detail,
                remedy: "Publish a model that fits the catalog.", kind: .invalid)
        }
        guard let pipeline = now.pipeline(record.number) else { return info }
        let progress = pipeline.state
        info.items = progress.tally.live
        if progress.cursor == nil {
            info.itemsExpected = progress.expected
            info.progress = progress.expected > 0 ? Double(progress.done) / Double(progress.expected) : 0
        }
        info.collisionPolicy = pipeline.index.identity.policy
        info.identifierLength = pipeline.index.identity.identifierLength
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
    let file: OpenFile
    let models: BlockingPool
    let ingest: Ingest

    func write(_ bytes: [UInt8]) async throws {
        try await models.run { try file.write(bytes) }
    }

    func finish() async throws {
        try await ingest.endingIfFatal { try await models.run { try file.sync() } }
    }

    func abort() async {
        // The name is free for the next try even if this fails: `receive` removes what is there, and so does a start.
        try? await models.run { try FileSystem.removeTree(file.path) }
    }
}
