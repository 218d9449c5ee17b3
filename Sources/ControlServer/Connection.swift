import ControlAPI
import Logging
import NIOCore
import NIOHTTP1
import Core

/// One client: its requests, one after the other, in the order they come.
struct Connection: Sendable {
    typealias Parts = NIOAsyncChannelInboundStream<HTTPServerRequestPart>.AsyncIterator
    typealias Writer = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    let channel: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>
    let peer: Peer
    let service: any ControlService
    let table: ConnectionTable
    let mayWrite: Bool
    let audit: @Sendable (AuditEntry) -> Void
    let logger: Logger

    /// Serves until either side closes. Failures of one connection end only it.
    func serve() async {
        do {
            try await channel.executeThenClose { inbound, outbound in
                // Ends the request being answered when the client is gone: nobody waits for it any more.
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
            let route = try Route(method: head.method, uri: head.uri)
            try authorise(route, head)
            try body.check(head, limit: route.bodyLimit)
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
            // What is left of a small request is taken first, so that its connection can be used on.
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
        // A client that is still sending would not read the answer if the connection were reset beneath it.
        if !body.isWhole { await body.drain(&parts) }
        return keepAlive
    }

    private func authorise(_ route: Route, _ head: HTTPRequestHead) throws {
        guard route.isWrite else { return }
        audit(AuditEntry(verb: "\(head.method) \(head.uri)", peer: peer, allowed: mayWrite))
        let metadata: Logger.Metadata = ["verb": "\(head.method) \(head.uri)", "peer": "\(peer)"]
        guard mayWrite else {
            logger.warning("refused", metadata: metadata)
            throw ControlFailure(
                "control.permission_denied", .permission, "User \(peer.uid) may look but not change anything.",
                remedy: "Run the command as root or as the daemon's user.")
        }
        logger.notice("called", metadata: metadata)
    }

    private func respond(to route: Route, _ body: [UInt8]) async throws -> Response {
        switch route {
        case .status: return try .encoded(try await service.status())
        case .lookupItems: return .json(try await service.items(try ItemsRequest(json: body).ids))
        case .item(let id):
            let answer = try await service.items([id])
            guard let item = answer.items.first else { throw wrongCount() }
            return .json(item)
        case .lookupIdentifiers:
            return .json(try await service.identifiers(try IdentifiersRequest(json: body).identifiers))
        case .next: return .json(try await service.next(try NextRequest(json: body).prefixes))
        case .under(let prefix, let limit, let after):
            return .json(try await service.under(prefix: prefix, limit: limit, after: after))
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
        case .upload, .dump: throw wrongCount()
        }
    }

    private func wrongCount() -> ControlFailure {
        ControlFailure(
            "control.internal", .internal, "The daemon did not answer what was asked.", remedy: "Please report it.")
    }

    // MARK: - Streams

    private func upload(
        _ name: UploadName, _ file: UploadFile, _ body: inout RequestBody, _ parts: inout Parts
    ) async throws -> Response {
        let sink = try await service.receive(file, of: name, length: body.length)
        do {
            while let bytes = try await body.next(&parts) { try await sink.write(bytes) }
            guard body.isWhole else {
                throw ControlFailure(
                    "control.upload_cut_short", .temporary, "The upload of \(file.rawValue) was cut short.",
                    remedy: "Upload it again.")
            }
            try await sink.finish()
        } catch {
            await sink.abort()
            throw error
        }
        return try .encoded(UploadReceipt(upload: name.text, file: file, bytes: body.count), status: 201)
    }

    /// Sends the dump as it comes. A failure before the first line is an ordinary error; a later one cuts the chunked
    /// body short, which every client can tell from its end.
    private func dump(_ head: HTTPRequestHead, _ outbound: Writer) async throws -> Bool {
        let begun = DumpHead()
        let keepAlive = head.isKeepAlive && !table.isDraining
        try await service.dump { batch in
            if await begun.begin() {
                let responseHead = Response.head(
                    status: 200, type: .lines, length: nil, keepAlive: keepAlive,
                    headers: [("letter-generation", String(batch.generation))])
                try await outbound.write(.head(responseHead))
            }
            if !batch.items.isEmpty {
                try await outbound.write(.body(.byteBuffer(ByteBuffer(bytes: batch.jsonBytes))))
            }
        }
        guard await !begun.begin() else { throw wrongCount() }
        try await outbound.write(.end(nil))
        return keepAlive
    }
}

/// Whether the head of a dump has been sent; an actor because the service may write from any task.
private actor DumpHead {
    private var hasBegun = false

    /// True the first time.
    func begin() -> Bool {
        defer { hasBegun = true }
        return !hasBegun
    }
}
