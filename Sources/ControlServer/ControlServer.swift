import ControlAPI
import Glibc
package import Logging
package import NIOCore
import NIOHTTP1
import NIOPosix
import Core

/// HTTP/1.1 over a Unix socket in front of a `ControlService`.
///
/// ```swift
/// let socket = try ControlSocket(path: "/run/letter/letterd.sock")
/// let server = ControlServer(socket: socket, service: daemon, logger: logger)
/// try await server.run()      // until `shutDown()`, or its task is cancelled
/// ```
package final class ControlServer: Sendable {
    /// How many connections clients may have, and how long they may take.
    package struct Limits: Sendable {
        /// All connections.
        package var connections = 32
        /// Connections of one user other than root and the daemon's own.
        package var connectionsPerUser = 8
        /// Time to send the first request, and to finish a request after its head.
        package var request = TimeAmount.seconds(5)
        /// Time between two requests.
        package var keepAlive = TimeAmount.seconds(30)
        /// Time without progress of an upload, or of a client that reads an answer.
        package var stall = TimeAmount.seconds(30)
        /// Time that requests have to finish when the server shuts down.
        package var grace = Duration.seconds(2)

        package init() {}
    }

    private let socket: ControlSocket
    private let service: any ControlService
    private let limits: Limits
    private let writers: Set<UInt32>
    private let logger: Logger
    private let table: ConnectionTable
    private let stop = AsyncStream.makeStream(of: Void.self)

    /// The users who may always change things: root and the daemon's own.
    package static var owners: Set<UInt32> { [0, geteuid()] }

    /// A server on a bound socket, which it takes over.
    ///
    /// - Parameters:
    ///   - writers: ids of the users who may upload, publish, promote and confirm; all others only read. The socket's
    ///     access decides who may connect at all.
    ///   - logger: also receives, at level `notice` or `warning`, each request that changes something and who made it.
    package init(
        socket: ControlSocket, service: any ControlService, limits: Limits = Limits(),
        writers: Set<UInt32> = ControlServer.owners, logger: Logger
    ) {
        self.socket = socket
        self.service = service
        self.limits = limits
        self.writers = writers
        self.logger = logger
        table = ConnectionTable(
            maximum: limits.connections, maximumPerUser: limits.connectionsPerUser, privileged: Self.owners)
    }

    /// Stops accepting, lets requests finish within the grace time, then makes `run` return.
    package func shutDown() {
        stop.continuation.finish()
    }

    /// Serves until `shutDown()` is called or the task is cancelled, then closes and removes the socket. Call it once.
    ///
    /// - Throws: only if it cannot listen.
    package func run() async throws {
        defer { socket.close() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            try await serve(on: group)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }

    private func serve(on group: MultiThreadedEventLoopGroup) async throws {
        let (connections, feed) = AsyncStream.makeStream(of: Connection.self)
        let listener = try await listen(on: group, feed)
        listener.closeFuture.whenComplete { [stop] _ in stop.continuation.finish() }
        logger.info("control socket is open", metadata: ["path": "\(socket.path)"])

        // Not a child task: it must take every accepted connection even when this task is cancelled, because NIO traps on
        // an asynchronous channel that is never consumed.
        let serving = Task {
            await withDiscardingTaskGroup { group in
                for await connection in connections { group.addTask { await connection.serve() } }
            }
        }
        for await _ in stop.stream {}

        table.drain()
        try? await listener.close()
        // Connections accepted before the drain are in the stream after one turn of the event loop.
        try? await listener.eventLoop.submit {}.get()
        feed.finish()
        let deadline = Task { [table, limits] in
            try? await Task.sleep(for: limits.grace)
            table.closeAll()
        }
        if Task.isCancelled { table.closeAll() }
        await serving.value
        deadline.cancel()
    }

    private func listen(
        on group: MultiThreadedEventLoopGroup, _ feed: AsyncStream<Connection>.Continuation
    ) async throws -> any Channel {
        let descriptor = try socket.takeDescriptor()
        return try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 128)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try admit(channel, feed) }
            }
            .withBoundSocket(descriptor).get()
    }

    /// Sets a new connection up, or refuses it if there are too many or the server is shutting down. On the channel's
    /// event loop.
    private func admit(_ channel: any Channel, _ feed: AsyncStream<Connection>.Continuation) throws {
        let peer = Peer(of: channel) ?? .unknown
        let admission = table.admit(uid: peer.uid) { channel.close(mode: .all, promise: nil) }
        let pipeline = channel.pipeline.syncOperations
        let id: Int
        switch admission {
        case .admitted(let number): id = number
        case .refused: return try pipeline.addHandler(RefusalHandler(.tooManyConnections))
        case .tooLate: return try pipeline.addHandler(RefusalHandler(.ending))
        }
        let table = table
        channel.closeFuture.whenComplete { _ in table.remove(id) }
        try pipeline.addHandler(HTTPResponseEncoder())
        try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)))
        try pipeline.addHandler(TimeoutHandler(limits: limits) { table.set(id, $0) })
        let asyncChannel = try NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>(
            wrappingChannelSynchronously: channel)
        feed.yield(
            Connection(
                channel: asyncChannel, peer: peer, service: service, table: table,
                mayWrite: writers.contains(peer.uid), logger: logger))
    }
}
