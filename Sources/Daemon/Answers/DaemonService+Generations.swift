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
        let records = try await answers.run { [registry] in try registry.generations() }
        let now = state.now
        return GenerationsAnswer(active: now.active?.number, generations: records.map { info($0, now) })
    }

    func receive(_ file: ModelFile, of upload: UploadName) async throws -> any UploadSink {
        try await requests.endingIfFatal {
            try await models.run { [directory, models, requests] in
                let file = try directory.receive(file.rawValue, of: upload.text)
                return FileSink(file: file, models: models, requests: requests)
            }
        }
    }

    func publish(upload: UploadName) async throws -> GenerationInfo {
        let time = Self.milliseconds()
        let (record, model) = try await requests.endingIfFatal {
            try await models.run { [registry, state] in
                try registry.publish(upload: upload.text, now: time) { model in
                    guard let format = state.now.format, format.dimension != model.inputWidth else { return }
                    throw DaemonError.dimensions(of: "The tokenizer", model.inputWidth, catalog: format.dimension)
                }
            }
        }
        logger.notice("generation is published", metadata: ["generation": "\(record.number)"])
        supervisor.keep(model, of: record.number)
        requests.adopt(record.number)
        return info(record, state.now)
    }

    func promote(_ generation: Int) async throws -> GenerationInfo {
        try await requests.promote(generation)
        let record = try await answers.run { [registry] in try registry.generation(generation) }
        return info(record, state.now)
    }

    func confirmDeletions() async throws -> ConfirmAnswer {
        let confirmed = try await requests.confirmDeletions()
        guard !confirmed.isEmpty else {
            throw DaemonError(
                .nothingHeld, "No deletions wait for confirmation.",
                remedy: "`letter status` reports when some do.")
        }
        return ConfirmAnswer(
            confirmed: confirmed.map {
                .init(generation: $0.generation, deletions: $0.held.deletions, items: $0.held.items)
            })
    }

    private func info(_ record: GenerationRecord, _ now: DaemonState.Snapshot) -> GenerationInfo {
        var info = GenerationInfo(
            number: record.number, state: GenerationState(rawValue: record.stage.rawValue) ?? .failed, items: 0,
            progress: record.stage == .building ? 0 : 1, created: Timestamp(milliseconds: Int64(record.created)),
            promoted: record.promoted.map { Timestamp(milliseconds: Int64($0)) })
        if record.stage == .failed {
            info.failure = ErrorBody(
                code: "daemon.generation_failed", message: record.detail,
                remedy: "Publish a model that fits the catalog.", kind: .invalid)
        }
        info.warnings = now.problems[.fit(record.number)].map { [$0] } ?? []
        guard let pipeline = now.pipeline(record.number) else { return info }
        let progress = pipeline.progress
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
    let requests: IngestRequests

    func write(_ bytes: [UInt8]) async throws {
        try await models.run { try file.write(bytes) }
    }

    func finish() async throws {
        try await requests.endingIfFatal { try await models.run { try file.sync() } }
    }

    func abort() async {
        // The name is free for the next try even if this fails: `receive` removes what is there, and so does a start.
        try? await models.run { try FileSystem.removeTree(file.path) }
    }
}
