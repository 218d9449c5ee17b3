import Catalog
import ControlAPI
package import ControlServer
import Generations
import Glibc
import IdentifierIndex
package import Logging
import ServiceLifecycle
import UnixSignals
package import Core

/// The daemon: opens its state, answers on its socket, and keeps its generations in step with the catalog.
package struct LetterDaemon: Sendable {
    /// How a daemon is run.
    package struct Configuration: Sendable {
        /// Folder of the catalog.
        package var catalog: String
        /// Folder that the daemon owns.
        package var state: String
        /// Path of the control socket.
        package var socket: String
        /// Who may connect to the control socket.
        package var socketAccess = ControlSocket.Access.owner
        /// Ids of the users, besides root and the daemon's own, who may change things over the control socket.
        package var writers: [UInt32] = []
        /// Time between two polls of the catalog.
        package var pollInterval = Duration.milliseconds(50)
        /// Time between two clean-ups of LMDB reader slots whose process died.
        package var readerCheckInterval = Duration.seconds(30)
        /// Threads that read the index for answers.
        package var readers = 2
        /// How collisions are resolved in generations published from now on.
        package var collisionPolicy = CollisionPolicy.reassign
        /// Rules for edited items and tombstones.
        package var rules = AssignmentRules()
        /// What tests inject.
        package var hooks = DaemonHooks()

        package init(catalog: String, state: String, socket: String) {
            self.catalog = catalog
            self.state = state
            self.socket = socket
        }
    }

    private let configuration: Configuration
    private let logger: Logger

    package init(configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT, then finishes the transaction under way and closes.
    ///
    /// - Throws: a `Failure` if the state directory or the socket is taken or unusable, or the disk failed. A catalog
    ///   that is missing or unreadable does not end the daemon: it says so in its status and tries again.
    package func run() async throws {
        // A client that goes away, or a file at its size limit, must not end the process.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        let files = try await start.run { [configuration] in try Files(configuration) }
        if files.record.wasUnclean {
            var metadata: Logger.Metadata = [:]
            if let crash = files.record.crash { metadata = ["signal": "\(crash.signal)", "thread": "\(crash.thread)"] }
            logger.notice("the last run did not end cleanly; the catalog is verified first", metadata: metadata)
        }
        files.registry.opening.report(of: "registry", to: logger)
        let state = DaemonState()
        let threads = PipelineThreads(record: files.record, hooks: configuration.hooks)
        let catalog = CatalogWatch(
            path: configuration.catalog, interval: configuration.pollInterval,
            readerCheck: configuration.readerCheckInterval, isSuspect: files.record.wasUnclean, state: state)
        let supervisor = GenerationSupervisor(
            directory: files.directory, registry: files.registry, state: state, threads: threads,
            policy: configuration.collisionPolicy, rules: configuration.rules, logger: logger,
            now: DaemonService.milliseconds)
        let opened = try await supervisor.openAll()
        let requests = IngestRequests { catalog.wake() }
        let service = DaemonService(
            catalogPath: configuration.catalog, socketPath: configuration.socket, readers: configuration.readers,
            catalog: catalog, directory: files.directory, registry: files.registry, state: state,
            supervisor: supervisor, requests: requests, ahead: threads.ahead, logger: logger)
        let loop = IngestLoop(
            catalog: catalog, supervisor: supervisor, requests: requests, state: state, logger: logger,
            now: DaemonService.milliseconds)

        let server = ControlServer(
            socket: files.socket, service: service, writers: ControlServer.owners.union(configuration.writers),
            logger: logger
        )
        // The service group describes its services at length; only its complaints are for an operator.
        var groupLogger = logger
        groupLogger.logLevel = max(logger.logLevel, .warning)
        var settings = ServiceGroupConfiguration(
            services: [
                .init(service: IngestService(loop: loop, opened: opened)),
                .init(service: ServerService(server: server)),
            ], gracefulShutdownSignals: [.sigterm, .sigint], logger: groupLogger)
        settings.maximumGracefulShutdownDuration = Self.longestShutdown
        try await ServiceGroup(configuration: settings).run()
        try await supervisor.closeAll()
        files.record.end()
        logger.notice("stopped")
    }

    /// How long the services may take to end after SIGTERM before they are cancelled: a chunk of a large build is written
    /// in a few seconds.
    private static let longestShutdown = Duration.seconds(30)

    /// Where the state is opened: these calls block on the disk.
    private let start = BlockingPool(name: "start", threads: 1)

    /// The daemon's own files, each locked or opened before the next.
    private struct Files: Sendable {
        let directory: StateDirectory
        let socket: ControlSocket
        let registry: GenerationRegistry
        let record: RunRecord

        init(_ configuration: Configuration) throws {
            directory = try StateDirectory(path: configuration.state)
            socket = try ControlSocket(path: configuration.socket, access: configuration.socketAccess)
            registry = try GenerationRegistry(state: directory)
            record = try RunRecord(path: configuration.state + "/last-run")
        }
    }
}

private struct IngestService: Service {
    let loop: IngestLoop
    let opened: [GenerationSupervisor.Opened]

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await loop.run(opened) }
    }
}

private struct ServerService: Service {
    let server: ControlServer

    func run() async throws {
        try await withGracefulShutdownHandler {
            try await server.run()
        } onGracefulShutdown: {
            server.shutDown()
        }
    }
}
