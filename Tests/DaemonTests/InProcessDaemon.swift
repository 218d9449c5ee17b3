import Catalog
import ControlAPI
import Core
import Generations
import IdentifierIndex
import Logging
import Numerics
import TestSupport
import Tokenizer

@testable import Daemon

/// The daemon's components on a real catalog, state directory and indexes, without its process and its socket.
final class InProcessDaemon: Sendable {
    let folder = TemporaryDirectory()
    let state = DaemonState()
    let catalog: CatalogWatch
    let supervisor: GenerationSupervisor
    let requests: IngestRequests
    let service: DaemonService
    let directory: StateDirectory
    private let loop: IngestLoop

    static let width = 4

    /// - Parameter readers: threads that answer.
    init(items: Int, readers: Int = 1) throws {
        let path = folder["catalog"]
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: Self.width, elementType: .f32))
        directory = try StateDirectory(path: folder["state"])
        let registry = try GenerationRegistry(state: directory)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let threads = PipelineThreads(record: try RunRecord(path: folder["last-run"]), hooks: DaemonHooks())
        catalog = CatalogWatch(
            path: path, interval: .milliseconds(10), readerCheck: .seconds(30), isSuspect: false, state: state)
        supervisor = GenerationSupervisor(
            directory: directory, registry: registry, state: state, threads: threads, policy: .reassign,
            rules: AssignmentRules(), logger: logger, now: DaemonService.milliseconds)
        requests = IngestRequests { [catalog] in catalog.wake() }
        service = DaemonService(
            catalogPath: path, socketPath: "", readers: readers, catalog: catalog, directory: directory,
            registry: registry, state: state, supervisor: supervisor, requests: requests, ahead: threads.ahead,
            logger: logger)
        loop = IngestLoop(
            catalog: catalog, supervisor: supervisor, requests: requests, state: state, logger: logger,
            now: DaemonService.milliseconds)
        // Before the daemon opens the catalog: LMDB opens a file once in a process.
        var generator = SeededGenerator(seed: 7)
        try CatalogWriter(path: path).write { transaction in
            for item in 0..<items {
                let id = ItemID(unchecked: Array("item-\(item)".utf8))
                try transaction.put(embedding: generator.vector(Self.width), of: id)
            }
        }
    }

    /// Runs `body` while the ingest loop runs.
    func running(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let opened = try await supervisor.openAll()
            group.addTask { [loop] in try await loop.run(opened) }
            try await body()
            group.cancelAll()
        }
        try await supervisor.closeAll()
    }

    /// Publishes a tokenizer and waits until its generation is settled.
    @discardableResult
    func publish(seed: UInt64) async throws -> Int {
        var random = Random(seed: seed)
        let layer = Layer(
            weight: random.normalMatrix(rows: 2, columns: Self.width, deviation: 1), bias: Matrix(rows: 1, columns: 2))
        let model = try TokenizerModel(
            encoder: [layer], decoder: [],
            codebooks: (0..<3).map { _ in random.normalMatrix(rows: 8, columns: 2, deviation: 1) },
            scaling: .unitVariance(width: Self.width))
        let name = "m\(seed)"
        try ModelDirectory.write(model, to: directory.upload(name))
        guard let upload = UploadName(name) else { throw CancellationError() }
        let number = try await service.publish(upload: upload).number
        // Settled: known to the registry, and active if it is the first.
        while true {
            let isBuilding = try await service.generations().generations.contains { $0.state == .building }
            if !isBuilding, state.now.active != nil { break }
            try await Task.sleep(for: .milliseconds(5))
        }
        return number
    }
}
