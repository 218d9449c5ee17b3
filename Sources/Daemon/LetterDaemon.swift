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
        /// Time between two looks at the catalog.
        package var pollInterval = Duration.milliseconds(50)
        /// Time between two clearings of LMDB reader slots whose process died.
        package var readerCheckInterval = Duration.seconds(30)
        /// Threads that read the index for answers.
        package var readers = 2
        /// What becomes of collisions in generations published from now on.
        package var collisionPolicy = CollisionPolicy.reassign
        /// What becomes of edited items and of tombstones.
        package var rules = AssignmentRules()

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

    /// Runs until SIGTERM or SIGINT, then ends what is under way and closes.
    ///
    /// - Throws: a `Failure` if the state directory or the socket is taken or unusable, or the disk failed. A catalog
    ///   that is missing or unreadable does not end the daemon: it says so in its status and tries again.
    package func run() async throws {
        // A client that goes away, or a file at its size limit, must not end the process.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        let state = try StateDirectory(path: configuration.state)
        let socket = try ControlSocket(path: configuration.socket, access: configuration.socketAccess)
        let registry = try GenerationRegistry(state: state)
        let record = try RunRecord(path: configuration.state + "/last-run")
        if record.wasUnclean {
            var metadata: Logger.Metadata = [:]
            if let crash = record.crash { metadata = ["signal": "\(crash.signal)", "thread": "\(crash.thread)"] }
            logger.notice("the last run did not end in order; the catalog is verified first", metadata: metadata)
        }
        registry.opening.report(of: "registry", to: logger)
        let board = DaemonState()
        let catalog = CatalogWatch(
            path: configuration.catalog, interval: configuration.pollInterval,
            readerCheck: configuration.readerCheckInterval, isSuspect: record.wasUnclean, board: board)
        let disk = BlockingPool(name: "answer", threads: configuration.readers)
        let ingest = Ingest(
            catalog: catalog, state: state, registry: registry, board: board, disk: disk,
            policy: configuration.collisionPolicy, rules: configuration.rules, record: record, logger: logger,
            now: DaemonService.milliseconds)
        try await ingest.open()
        let service = DaemonService(
            catalogPath: configuration.catalog, socketPath: configuration.socket, catalog: catalog, state: state,
            registry: registry, board: board,
            ingest: ingest, disk: disk, logger: logger)

        let server = ControlServer(
            socket: socket, service: service, writers: ControlServer.owners.union(configuration.writers), logger: logger
        )
        // The service group describes its services at length; only its complaints are for an operator.
        var groupLogger = logger
        groupLogger.logLevel = max(logger.logLevel, .warning)
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: IngestService(ingest: ingest)), .init(service: ControlService(server: server)),
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: groupLogger))
        try await group.run()
        for pipeline in board.now.atWork { try pipeline.index.close() }
        try registry.close()
        record.end()
        logger.notice("stopped")
    }
}

private struct IngestService: Service {
    let ingest: Ingest

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await ingest.run() }
    }
}

private struct ControlService: Service {
    let server: ControlServer

    func run() async throws {
        try await withGracefulShutdownHandler {
            try await server.run()
        } onGracefulShutdown: {
            server.shutDown()
        }
    }
}
