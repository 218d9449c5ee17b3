import ControlAPI
import ControlClient
import ControlServer
import Foundation
import NIOCore
import Synchronization
import Testing

@Suite struct ProtocolTests {
    @Test func `A connection is kept for many requests`() async throws {
        try await withServer { path in
            try await onThread {
                let client = try RawClient(path)
                for _ in 0..<100 { #expect(client.get("/v1/status")?.status == 200) }
                // An ordinary error does not end it either.
                #expect(client.get("/v1/nothing")?.status == 404)
                #expect(client.post("/v1/items/lookup", "{")?.status == 400)
                #expect(client.get("/v1/status")?.status == 200)
            }
        }
    }

    @Test func `Pipelined requests are answered in their order`() async throws {
        try await withServer { path in
            try await onThread {
                let client = try RawClient(path)
                client.send((0..<100).map { "GET /v1/items/\($0) HTTP/1.1\r\nhost: x\r\n\r\n" }.joined())
                for number in 0..<100 {
                    #expect(client.answer()?.text.hasPrefix("{\"item\":\"\(number)\",") == true)
                }
            }
        }
    }

    @Test func `A client that closes its side after sending gets its answer`() async throws {
        try await withServer { path in
            try await onThread {
                let client = try RawClient(path)
                client.send("GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n")
                client.finishSending()
                #expect(client.answer()?.status == 200)
                #expect(client.answer() == nil)
            }
        }
    }

    @Test func `Connection close and HTTP 1.0 are honoured, and the answer is whole`() async throws {
        try await withServer(MemoryService(count: 20_000)) { path in
            try await onThread {
                let ids = (0..<10_000).map { "\"\($0)\"" }.joined(separator: ",")
                let body = "{\"ids\":[\(ids)]}"
                for head in ["HTTP/1.1\r\nconnection: close", "HTTP/1.0"] {
                    let client = try RawClient(path)
                    client.send(
                        "POST /v1/items/lookup \(head)\r\nhost: x\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)")
                    Thread.sleep(forTimeInterval: 0.2)
                    let answer = client.answer()
                    #expect(answer?.head.contains("connection: close") == true)
                    #expect(
                        answer.flatMap { try? JSONDecoder().decode(ItemsAnswer.self, from: Data($0.body)) }?.items.count
                            == 10_000)
                    #expect(client.answer() == nil)
                }
            }
        }
    }

    @Test func `A body sent in chunks is read`() async throws {
        try await withServer { path in
            try await onThread {
                let client = try RawClient(path)
                client.send(
                    "POST /v1/items/lookup HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
                        + "8\r\n{\"ids\":[\r\n5\r\n\"7\"]}\r\n0\r\n\r\n")
                #expect(client.answer()?.text.contains("[0,0,7,0]") == true)
            }
        }
    }

    @Test(arguments: ["announced", "chunked"])
    func `A body that is too large is refused`(form: String) async throws {
        try await withServer { path in
            try await onThread {
                let client = try RawClient(path)
                let body = [UInt8](repeating: 0x20, count: 3 << 20)
                if form == "announced" {
                    client.send("POST /v1/items/lookup HTTP/1.1\r\nhost: x\r\ncontent-length: \(body.count)\r\n\r\n")
                    client.send(body)
                } else {
                    client.send(
                        "POST /v1/items/lookup HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n300000\r\n")
                    client.send(body)
                }
                let answer = client.answer()
                #expect(answer?.status == 413 && answer?.error?.code == "control.body_too_large")
                let small = try RawClient(path).post("/v1/wait", String(repeating: " ", count: 70_000))
                #expect(small?.status == 413)
            }
        }
    }

    @Test func `Deeply nested JSON is refused`() async throws {
        try await withServer { path in
            try await onThread {
                let deep = "{\"ids\":" + String(repeating: "[", count: 1_000_000)
                let answer = try RawClient(path).post("/v1/items/lookup", deep)
                #expect(answer?.error?.code == "control.bad_json")
            }
        }
    }

    @Test(arguments: [
        "nonsense\r\n\r\n", "GET /v1/status HTTP/9.9\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n",
        "POST /v1/wait HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "POST /v1/wait HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "a head of 200,000 bytes",
    ])
    func `A request that is not HTTP gets an error, and the connection ends`(text: String) async throws {
        try await withServer { path in
            try await onThread {
                let client = try RawClient(path)
                let long = "GET / HTTP/1.1\r\nx: " + String(repeating: "y", count: 200_000) + "\r\n\r\n"
                client.send(text.hasPrefix("a head") ? long : text)
                let answer = client.answer()
                #expect(
                    answer?.status == 400 && answer?.error?.code == "control.bad_http", "\(answer?.text ?? "nothing")")
                #expect(client.answer() == nil)
            }
            try #expect(await ControlClient(path: path).status().items == 100)
        }
    }

    @Test func `A dump is complete, and the connection can be used again`() async throws {
        try await withServer(MemoryService(count: 25_000)) { path in
            let client = ControlClient(path: path)
            for _ in 0..<2 {
                let lines = Mutex<[UInt8]>([])
                try #expect(await client.dump { piece in lines.withLock { $0 += piece } } == 1)
                let all = lines.withLock { $0 }.split(separator: 0x0A)
                #expect(all.count == 25_000)
                #expect(
                    all.last.map { String(decoding: $0, as: UTF8.self) } == #"{"item":"24999","codes":[0,97,167,0]}"#)
            }
            try #expect(await client.status().items == 25_000)
        }
    }

    @Test func `An empty dump is empty`() async throws {
        try await withServer(MemoryService(count: 0)) { path in
            try #expect(await ControlClient(path: path).dump { _ in Issue.record("no lines") } == 1)
        }
    }

    @Test func `A dump waits for a client that does not read`() async throws {
        let service = MemoryService(count: 1_000_000)
        try await withServer(service) { path in
            let client = try await onThread { () -> Unchecked<RawClient> in
                let client = try RawClient(path)
                client.send("GET /v1/dump HTTP/1.1\r\nhost: x\r\n\r\n")
                Thread.sleep(forTimeInterval: 0.5)
                return Unchecked(client)
            }
            let early = service.state.withLock { $0.batchesDumped }
            #expect(early < 100, "\(early) of 1000 batches were made for a client that read none")
            let bytes = try await onThread { () -> Int in
                client.value.send("GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                return client.value.rest().count
            }
            #expect(bytes > 30_000_000)
            #expect(service.state.withLock { $0.batchesDumped } == 1000)
        }
    }

    @Test func `A wait ends when its client disconnects`() async throws {
        let service = MemoryService()
        try await withServer(service) { path in
            try await onThread {
                let client = try RawClient(path)
                client.send("POST /v1/wait HTTP/1.1\r\nhost: x\r\ncontent-length: 24\r\n\r\n{\"timeout_seconds\":1000}")
                Thread.sleep(forTimeInterval: 0.1)
            }
            try await until { service.state.withLock { $0.cancelledWaits == 1 } }
        }
    }

    @Test func `Random bytes never stop the server`() async throws {
        try await withServer { path in
            try await onThread {
                var random = SystemRandomNumberGenerator()
                let start = Array(
                    "POST /v1/items/lookup HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n\r\n{\"ids\":[\"7\"]}".utf8)
                for round in 0..<300 {
                    let client = try RawClient(path)
                    var bytes = start
                    if round % 3 == 0 {
                        bytes = (0..<500).map { _ in UInt8.random(in: 0...255, using: &random) }
                    } else {
                        for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255) }
                    }
                    client.send(bytes)
                    client.finishSending()
                    _ = client.rest()
                }
            }
            try #expect(await ControlClient(path: path).status().items == 100)
        }
    }
}

/// Passes a client from one thread to the next; safe because they use it one after the other.
struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
