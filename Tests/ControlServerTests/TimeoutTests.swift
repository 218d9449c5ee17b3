import ControlAPI
import ControlClient
import Core
import Foundation
import NIOCore
import Synchronization
import Testing

@testable import ControlServer

@Suite struct TimeoutTests {
    private static var short: ControlServer.Limits {
        var limits = ControlServer.Limits()
        limits.request = .milliseconds(200)
        limits.keepAlive = .milliseconds(400)
        limits.stall = .milliseconds(400)
        return limits
    }

    @Test(arguments: [
        "", "GET /v1/sta", "POST /v1/wait HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{",
        "PUT /v1/uploads/m/manifest.json HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{",
    ])
    func `A client that does not finish its request is disconnected`(start: String) async throws {
        try await withServer(limits: Self.short) { path in
            try await onThread {
                let client = try RawClient(path)
                let begin = ContinuousClock.now
                client.send(start)
                let answer = client.answer()
                // Only a client that sent a head gets an answer.
                #expect(answer?.status == (start.contains("host") ? 408 : nil))
                #expect(client.answer() == nil)
                #expect(ContinuousClock.now - begin < .seconds(5))
            }
        }
    }

    @Test func `Sending a byte now and then does not extend the time limit`() async throws {
        try await withServer(limits: Self.short) { path in
            try await onThread {
                let client = try RawClient(path)
                let begin = ContinuousClock.now
                client.send("POST /v1/wait HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
                while client.send(" "), ContinuousClock.now - begin < .seconds(5) {
                    Thread.sleep(forTimeInterval: 0.05)
                }
                #expect(ContinuousClock.now - begin < .seconds(3))
            }
        }
    }

    @Test func `A slow upload that makes progress may continue`() async throws {
        let service = MemoryService()
        try await withServer(service, limits: Self.short) { path in
            try await onThread {
                let client = try RawClient(path)
                client.send("PUT /v1/uploads/m/manifest.json HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
                for _ in 0..<10 {
                    client.send("x")
                    Thread.sleep(forTimeInterval: 0.1)
                }
                #expect(client.answer()?.status == 201)
            }
        }
    }

    @Test func `The time between requests does not limit a long answer`() async throws {
        try await withServer(limits: Self.short) { path in
            try #expect(await ControlClient(path: path).waitCaughtUp(timeoutSeconds: 2).items == 100)
        }
    }

    @Test func `A client that never reads its answer is disconnected`() async throws {
        let service = MemoryService(count: 1_000_000)
        try await withServer(service, limits: Self.short) { path in
            let kept = try await onThread {
                let client = try RawClient(path)
                client.send("GET /v1/dump HTTP/1.1\r\nhost: x\r\n\r\n")
                // Far longer than the server waits, however busy the machine.
                #expect(client.isClosed(within: 60))
                return Unchecked(client)
            }
            let bytes = try await onThread { kept.value.rest().count }
            #expect(bytes < 10_000_000)
        }
    }

    @Test func `Clients that hang lose their connections to one that sends a request`() async throws {
        var limits = ControlServer.Limits()
        limits.connections = 8
        // By its time limit a client that hangs would stay for two minutes.
        limits.request = .seconds(120)
        try await withServer(limits: limits) { [limits] path in
            try await onThread {
                var hanging: [RawClient] = []
                for _ in 0..<200 { hanging.append(try RawClient(path)) }
                for _ in 0..<20 {
                    let begin = ContinuousClock.now
                    let answer = try RawClient(path).get("/v1/status")
                    #expect(answer?.status == 200)
                    // Long before that, however busy the machine.
                    #expect(ContinuousClock.now - begin < .seconds(60))
                }
                #expect(hanging.count > limits.connections)
            }
        }
    }

    @Test func `When all connections are busy a new client gets an error`() async throws {
        var limits = ControlServer.Limits()
        limits.connections = 2
        try await withServer(limits: limits) { path in
            try await onThread {
                let busy = try (0..<2).map { _ in try RawClient(path) }
                for client in busy {
                    client.send(
                        "POST /v1/wait HTTP/1.1\r\nhost: x\r\ncontent-length: 24\r\n\r\n{\"timeout_seconds\":1000}")
                }
                Thread.sleep(forTimeInterval: 0.3)
                let answer = try RawClient(path).answer()
                #expect(answer?.status == 503 && answer?.error?.code == "control.too_many_connections")
                #expect(busy.count == 2)
            }
        }
    }

    @Test func `Users who are not listed may read but not change anything, and the log has who tried`() async throws {
        let log = RecordedLines()
        try await withServer(writers: [12345], logger: .recording(log)) { path in
            let client = ControlClient(path: path)
            try #expect(await client.status().items == 100)
            let failure = await #expect(throws: RemoteFailure.self) { try await client.promote(1) }
            #expect(failure?.kind == .permission && failure?.code == "control.permission_denied")
            let upload = try await onThread {
                try RawClient(path).post("/v1/uploads/m/manifest.json", "{}", method: "PUT")
            }
            #expect(upload?.status == 403)
        }
        let peer = "peer=pid \(getpid()), uid \(geteuid()), gid \(getegid())"
        #expect(
            log.all.filter { $0.contains("verb=") } == [
                "warning refused \(peer) verb=POST /v1/generations/1/promote",
                "warning refused \(peer) verb=PUT /v1/uploads/m/manifest.json",
            ])
    }

    @Test func `What listed users change is logged with the user, and what they read is not`() async throws {
        let log = RecordedLines()
        try await withServer(logger: .recording(log)) { path in
            let client = ControlClient(path: path)
            _ = try await client.status()
            _ = try await client.confirmDeletions()
        }
        let verbs = log.all.filter { $0.contains("verb=") }
        #expect(
            verbs.count == 1 && verbs[0].hasPrefix("notice called peer=pid \(getpid()), uid \(geteuid())"), "\(verbs)")
    }
}

@Suite struct ConnectionTableTests {
    private func table(_ maximum: Int = 2, perUser: Int = 2) -> ConnectionTable {
        ConnectionTable(maximum: maximum, maximumPerUser: perUser, privileged: [0])
    }

    private func admit(_ table: ConnectionTable, uid: UInt32 = 0, _ close: @escaping @Sendable () -> Void = {}) -> Int?
    {
        guard case .admitted(let id) = table.admit(uid: uid, close: close) else { return nil }
        return id
    }

    @Test func `The connection that was idle longest is closed for a new one`() throws {
        let table = table()
        let closed = Mutex<[Int]>([])
        let first = try #require(admit(table) { closed.withLock { $0.append(0) } })
        _ = try #require(admit(table) { closed.withLock { $0.append(1) } })
        table.set(first, .waiting)
        #expect(admit(table) != nil)
        #expect(closed.withLock { $0 } == [1])
    }

    @Test func `A connection with a request is not closed for a new one`() throws {
        let table = table()
        for _ in 0..<2 { table.set(try #require(admit(table)), .serving) }
        #expect(admit(table) == nil)
        #expect(table.counts.refused == 1)
    }

    @Test func `A connection whose client does not read is closed after a while`() throws {
        let table = table()
        let ids = try (0..<2).map { _ in try #require(admit(table)) }
        for id in ids { table.set(id, .blocked) }
        #expect(admit(table) == nil)
        table.set(ids[0], .blocked, now: .now - .seconds(2))
        #expect(admit(table) != nil)
    }

    @Test func `One user cannot take all connections`() throws {
        let table = table(10)
        for _ in 0..<2 { table.set(try #require(admit(table, uid: 1000)), .serving) }
        #expect(admit(table, uid: 1000) == nil)
        #expect(admit(table, uid: 1001) != nil)
        #expect(admit(table, uid: 0) != nil)
    }

    @Test func `No connection is accepted during a shutdown`() throws {
        let table = table()
        let closed = Mutex(0)
        _ = admit(table) { closed.withLock { $0 += 1 } }
        table.set(try #require(admit(table) { closed.withLock { $0 += 1 } }), .serving)
        table.drain()
        #expect(closed.withLock { $0 } == 1)
        // With the right reason: not that there are too many connections.
        guard case .tooLate = table.admit(uid: 0, close: {}) else {
            Issue.record("accepted, or refused for another reason")
            return
        }
        #expect(table.counts.refused == 1)
    }
}
