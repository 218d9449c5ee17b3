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
    /// How much a client may ask for, and how long it may take.
    package struct Limits: Sendable {
        /// Connections in all.
        package var connections = 32
        /// Connections of one user that is neither root nor the daemon's own.
        package var connectionsPerUser = 8
        /// Time to send a request whose head has come, and to send the first one.
        package var request = TimeAmount.seconds(5)
        /// Time between two requests.
        package var keepAlive = TimeAmount.seconds(30)
        /// Time without progress in an upload or in reading an answer.
        package var stall = TimeAmount.seconds(30)
        /// Time that requests have to end when the server shuts down.
        package var grace = Duration.seconds(2)

        package init() {}
    }

    private let socket: ControlSocket
    private let service: any ControlService
    private let limits: Limits
    private let writers: Set<UInt32>
    private let audit: @Sendable (AuditEntry) -> Void
    private let logger: Logger
    private let table: ConnectionTable
    private let stop = AsyncStream.makeStream(of: Void.self)

    /// A server on a bound socket, which it takes over.
    ///
    /// - Parameters:
    ///   - writers: users who may upload, publish and promote; nil: root and the daemon's own user.
    ///   - audit: told of every call that changes something, allowed or not. Must not block.
    package init(
        socket: ControlSocket, service: any ControlService, limits: Limits = Limits(), writers: Set<UInt32>? = nil,
        audit: @escaping @Sendable (AuditEntry) -> Void = { _ in }, logger: Logger
    ) {
        self.socket = socket
        self.service = service
        self.limits = limits
        self.writers = writers ?? [0, geteuid()]
        self.audit = audit
        self.logger = logger
        table = ConnectionTable(
            maximum: limits.connections, maximumPerUser: limits.connectionsPerUser, privileged: [0, geteuid()])
    }

    /// Stops accepting, lets requests that are being answered end within the grace time, then makes `run` return.
    package func shutDown() {
        stop.continuation.finish()
    }

    /// Serves until `shutDown()` is called or the task is cancelled, then closes and removes the socket. Call it once.
    ///
    /// Throws only if it cannot listen.
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

        // Not a child task: it must take every connection that came in, even when this task is cancelled, because NIO
        // traps on an asynchronous channel that nobody takes.
        let serving = Task {
            await withDiscardingTaskGroup { group in
                for await connection in connections { group.addTask { await connection.serve() } }
            }
        }
        for await _ in stop.stream {}

        table.drain()
        try? await listener.close()
        // Whatever was being let in before the drain is in the stream once the event loop comes round.
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
                channel.eventLoop.makeCompletedFuture { try letIn(channel, feed) }
            }
            .withBoundSocket(descriptor).get()
    }

    /// Sets a new connection up, or turns it away if there is no room or the server ends. On the channel's event loop.
    private func letIn(_ channel: any Channel, _ feed: AsyncStream<Connection>.Continuation) throws {
        let peer = Peer(of: channel) ?? Peer(pid: 0, uid: UInt32.max, gid: UInt32.max)
        let admission = table.admit(uid: peer.uid) { channel.close(mode: .all, promise: nil) }
        let pipeline = channel.pipeline.syncOperations
        let id: Int
        switch admission {
        case .admitted(let number): id = number
        case .refused: return try pipeline.addHandler(RefusalHandler(.noRoom))
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
                mayWrite: writers.contains(peer.uid), audit: audit, logger: logger))
    }
}
