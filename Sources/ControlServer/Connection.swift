import ControlAPI
import Core
import Logging
import NIOCore
import NIOHTTP1
import Synchronization

/// One client, whose requests are answered one after the other in the order of their arrival.
struct Connection: Sendable {
    typealias Parts = NIOAsyncChannelInboundStream<HTTPServerRequestPart>.AsyncIterator
    typealias Writer = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    let channel: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>
    let peer: Peer
    let service: any ControlService
    let table: ConnectionTable
    let mayWrite: Bool
    let logger: Logger

    /// Serves until either side closes. A failure ends only this connection.
    func serve() async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                // When the client disconnects, the request that is being answered is cancelled.
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    tasks.addTask {
                        try await channel.channel.closeFuture.get()
                    }
                    tasks.addTask {
                        defer { channel.channel.close(mode: .all, promise: nil) }
                        try await serve(inbound, outbound)
                    }
                    try await tasks.next()
                    tasks.cancelAll()
                }
            }
        } catch {
            logger.debug("connection ended", metadata: ["peer": "\(peer)", "reason": "\(error)"])
        }
    }

    private func serve(
        _ inbound: NIOAsyncChannelInboundStream<HTTPServerRequestPart>, _ outbound: Writer
    ) async throws {
        var parts = inbound.makeAsyncIterator()
        while let part = try await parts.next() {
            guard case .head(let head) = part else { continue }
            guard try await answer(head, &parts, outbound) else { break }
        }
        // Waits until everything is written, since the caller closes.
        outbound.finish()
        try? await channel.channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer())))
    }

    /// Answers one request. Returns whether another may follow.
    private func answer(_ head: HTTPRequestHead, _ parts: inout Parts, _ outbound: Writer) async throws -> Bool {
        var body = RequestBody()
        let response: Response
        do {
            let (route, entry) = try RouteTable.match(head.method, head.uri)
            try authorise(entry, head)
            try body.check(head, limit: entry.bodyLimit)
            if case .dump = route {
                try await body.skip(&parts)
                return try await dump(head, outbound)
            }
            if head.headers["expect"].contains(where: { $0.lowercased() == "100-continue" }) {
                try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .continue)))
            }
            if case .upload(let name, let file) = route {
                response = try await upload(name, file, &body, &parts)
            } else {
                response = try await respond(to: route, try await body.collect(&parts))
            }
        } catch {
            response = .error(error)
            // The rest of a small request is read first, so that the connection can be kept.
            if body.isSmall(head) { try await body.skip(&parts) }
            if response.status >= 500 {
                logger.warning(
                    "request failed", metadata: ["request": "\(head.method) \(head.uri)", "error": "\(error)"])
            }
        }
        let keepAlive = head.isKeepAlive && body.isWhole && !table.isDraining
        let responseHead = Response.head(
            status: response.status, type: response.type, length: response.body.count, keepAlive: keepAlive,
            headers: response.headers)
        try await outbound.write(
            contentsOf: [.head(responseHead), .body(.byteBuffer(ByteBuffer(bytes: response.body))), .end(nil)])
        // A client that is still sending would not read the answer if the connection were reset.
        if !body.isWhole { await body.drain(&parts) }
        return keepAlive
    }

    /// Logs every request that changes something, with the user who made it: the daemon's log is the audit log.
    ///
    /// - Throws: `control.permission_denied`.
    private func authorise(_ entry: RouteEntry, _ head: HTTPRequestHead) throws {
        guard entry.isWrite else { return }
        let metadata: Logger.Metadata = ["verb": "\(head.method) \(head.uri)", "peer": "\(peer)"]
        guard mayWrite else {
            logger.warning("refused", metadata: metadata)
            throw ControlError(
                .permissionDenied, "User \(peer.uid) may read but not change anything.",
                remedy: "Run the command as root or as the daemon's user, or list the user under `writers`.")
        }
        logger.notice("called", metadata: metadata)
    }

    private func respond(to route: Route, _ body: [UInt8]) async throws -> Response {
        switch route {
        case .status: return try .encoded(try await service.status())
        case .lookupItems: return .json(try await service.items(try ItemsRequest(json: body).ids))
        case .item(let id):
            let answer = try await service.items([id])
            guard let item = answer.items.first else { throw noAnswer }
            return .json(item)
        case .lookupIdentifiers:
            return .json(try await service.identifiers(try IdentifiersRequest(json: body).identifiers))
        case .next: return .json(try await service.next(try NextRequest(json: body).prefixes))
        case .identifiersBelow(let prefix, let limit, let after):
            return .json(try await service.identifiers(below: prefix, limit: limit, after: after))
        case .collisions(let limit, let after):
            return try .encoded(try await service.collisions(limit: limit, after: after))
        case .quarantine(let limit, let after):
            return try .encoded(try await service.quarantine(limit: limit, after: after))
        case .generations: return try .encoded(try await service.generations())
        case .publish:
            return try .encoded(
                try await service.publish(upload: try PublishRequest(json: body).upload), status: 201)
        case .confirm: return try .encoded(try await service.confirmDeletions())
        case .promote(let number): return try .encoded(try await service.promote(number))
        case .wait:
            let seconds = try WaitRequest(json: body).timeoutSeconds
            return try .encoded(try await service.waitCaughtUp(timeout: .milliseconds(Int(seconds * 1000))))
        case .metrics:
            let text = Metrics.text(try await service.status(), connections: table.counts)
            return Response(type: .metrics, body: Array(text.utf8))
        case .doctor(let deep): return try .encoded(try await service.doctor(deep: deep))
        case .verify(let generation): return try .encoded(try await service.verify(generation: generation))
        // Answered by `answer`, because they are streams.
        case .upload, .dump: throw noAnswer
        }
    }

    private var noAnswer: ControlError {
        ControlError(.internal, "The daemon has no answer to this request.", remedy: "Please report it.")
    }

    // MARK: - Streams

    private func upload(
        _ name: UploadName, _ file: ModelFile, _ body: inout RequestBody, _ parts: inout Parts
    ) async throws -> Response {
        let sink = try await service.receive(file, of: name)
        do {
            while let bytes = try await body.next(&parts) { try await sink.write(bytes) }
            guard body.isWhole else {
                throw ControlError(
                    .uploadCutShort, "The upload of \(file.rawValue) was cut short.", remedy: "Upload it again.")
            }
            try await sink.finish()
        } catch {
            await sink.abort()
            throw error
        }
        return try .encoded(UploadReceipt(upload: name.text, file: file, bytes: body.count), status: 201)
    }

    /// Sends the dump batch by batch. A failure before the first batch is an ordinary error; a later one cuts the chunked
    /// body short, which every client recognises by the missing last chunk.
    private func dump(_ head: HTTPRequestHead, _ outbound: Writer) async throws -> Bool {
        let hasBegun = Atomic(false)
        let keepAlive = head.isKeepAlive && !table.isDraining
        try await service.dump { batch in
            if !hasBegun.exchange(true, ordering: .relaxed) {
                let responseHead = Response.head(
                    status: 200, type: .lines, length: nil, keepAlive: keepAlive,
                    headers: [("letter-generation", String(batch.generation))])
                try await outbound.write(.head(responseHead))
            }
            if !batch.items.isEmpty {
                try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: batch.jsonBytes))))
            }
        }
        guard hasBegun.load(ordering: .relaxed) else { throw noAnswer }
        try await outbound.write(.end(nil))
        return keepAlive
    }
}
