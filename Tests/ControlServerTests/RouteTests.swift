import ControlAPI
import ControlClient
import Foundation
import NIOHTTP1
import Synchronization
import Testing
import Core

@testable import ControlServer

@Suite struct RouteTests {
    @Test func `Every reading route answers through the client`() async throws {
        try await withServer { path in
            let client = ControlClient(path: path)
            try #expect(await client.status().items == 100)
            let ids = ["7", "nope", "99", "7"].map { ItemID(unchecked: Array($0.utf8)) }
            let items = try await client.items(ids)
            #expect(items.items.map(\.item) == ids)
            #expect(items.items.map(\.codes) == [[0, 0, 7, 0], nil, [0, 0, 99, 0], [0, 0, 7, 0]])
            #expect(items.items.map(\.status) == [.live, .unknown, .live, .live])
            let identifiers = try await client.identifiers([[0, 0, 7, 0], [1, 2]])
            #expect(identifiers.identifiers.map { $0.items.map(\.text) } == [["7"], []])
            try #expect(await client.next([[], [0, 0]]).answers.map(\.next.count) == [1, 100])
            let page = try await client.under(prefix: [0, 0], limit: 10)
            #expect(page.identifiers.count == 10 && page.more)
            let rest = try await client.under(prefix: [0, 0], limit: 1000, after: page.identifiers.last?.codes)
            #expect(rest.identifiers.count == 90 && !rest.more)
            let odd = ItemID(unchecked: [0xFF, 0x2B, 0x20, 0x26])
            try #expect(await client.collisions(limit: 5, after: odd).collisions.first?.item == odd)
            try #expect(await client.quarantine(limit: 5).quarantined.first?.reason == "NaN")
            try #expect(await client.generations().active == 1)
            try #expect(await client.waitCaughtUp(timeoutSeconds: 1).caughtUp)
        }
    }

    @Test func `A single item is at its own path, whatever bytes it has`() async throws {
        try await withServer { path in
            try await onThread {
                let client = try RawClient(path)
                #expect(client.get("/v1/items/7")?.text.hasPrefix(#"{"item":"7","codes":[0,0,7,0]"#) == true)
                #expect(client.get("/v1/items/a%2Fb%00%FF")?.text.hasPrefix(#"{"item":"base64:YS9iAP8=""#) == true)
                #expect(
                    client.get("/v1/items/base64:YS9iAP8%3D")?.text.hasPrefix(#"{"item":"base64:YS9iAP8=""#) == true)
                #expect(client.get("/v1/items/lookup")?.text.hasPrefix(#"{"item":"lookup""#) == true)
            }
        }
    }

    @Test func `A model is uploaded, published and refused where it must be`() async throws {
        let service = MemoryService()
        try await withServer(service) { path in
            let client = ControlClient(path: path)
            let name = try #require(UploadName("m"))
            let missing = await #expect(throws: ControlFailure.self) { try await client.publish(upload: name) }
            #expect(missing?.kind == .notFound && missing?.code == "test.no_upload")
            let sizes = [UploadFile.manifest: 1000, .tensors: 8 << 20]
            for (file, size) in sizes {
                let left = Mutex(size)
                let receipt = try await client.upload(file, to: name, length: size) {
                    left.withLock { left in
                        let count = min(left, 100_000)
                        left -= count
                        return count > 0 ? [UInt8](repeating: 7, count: count) : nil
                    }
                }
                #expect(receipt.bytes == size)
            }
            #expect(service.state.withLock { $0.uploads["m/tokenizer.safetensors"] }?.count == 8 << 20)
            try #expect(await client.publish(upload: name).number == 1)
            let conflict = await #expect(throws: ControlFailure.self) { try await client.promote(1) }
            #expect(conflict?.kind == .conflict)
            try #expect(await client.confirmDeletions().confirmed.map(\.deletions) == [60])
        }
    }

    @Test func `An upload cut short is thrown away`() async throws {
        let service = MemoryService()
        try await withServer(service) { path in
            try await onThread {
                let client = try RawClient(path)
                client.send("PUT /v1/uploads/m/manifest.json HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc")
            }
            try await until { service.state.withLock { $0.aborted == ["m/manifest.json"] && $0.uploads.isEmpty } }
        }
    }

    @Test func `Curl's expectation is met before the body comes`() async throws {
        try await withServer { path in
            try await onThread {
                let client = try RawClient(path)
                client.send(
                    "PUT /v1/uploads/m/manifest.json HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
                )
                #expect(client.answer()?.status == 100)
                client.send("abc")
                #expect(client.answer()?.status == 201)
            }
        }
    }

    @Test func `A failure keeps its kind across the socket`() async throws {
        try await withServer { path in
            let client = ControlClient(path: path)
            let failure = await #expect(throws: ControlFailure.self) {
                try await client.waitCaughtUp(timeoutSeconds: 0)
            }
            #expect(failure?.kind == .temporary && failure?.remedy == "Wait longer.")
            // And the connection can be used on.
            try #expect(await client.status().generation == 1)
        }
    }

    @Test func `Metrics are OpenMetrics`() async throws {
        try await withServer { path in
            let text = try await onThread { try RawClient(path).get("/metrics")?.text ?? "" }
            #expect(text.contains("\nletter_items 100\n") && text.hasSuffix("# EOF\n"))
            #expect(text.contains("letter_state{letter_state=\"serving\"} 1"))
        }
    }

    @Test(arguments: [
        ("GET", "/", 404), ("GET", "/v1", 404), ("GET", "/v2/status", 404), ("GET", "/v1/status/x", 404),
        ("POST", "/v1/status", 405), ("DELETE", "/v1/generations", 405), ("GET", "/v1/wait", 405),
        ("GET", "/v1/items/", 400), ("GET", "/v1/items/%", 400), ("GET", "/v1/items/%zz", 400),
        ("GET", "/v1/items/base64:x", 400), ("GET", "/v1/trie/items?prefix=x", 400),
        ("GET", "/v1/trie/items?limit=0", 400), ("GET", "/v1/trie/items?limit=10001", 400),
        ("GET", "/v1/doctor?deep=perhaps", 400), ("POST", "/v1/doctor", 405),
        ("GET", "/v1/index/verify?generation=-1", 400), ("GET", "/v1/index", 404),
        ("GET", "/v1/trie/items?limit=1&limit=2", 400), ("GET", "/v1/status?x=1", 400),
        ("POST", "/v1/generations/x/promote", 400), ("POST", "/v1/generations/-1/promote", 400),
        ("PUT", "/v1/uploads/m/other", 404), ("PUT", "/v1/uploads/../manifest.json", 400),
        ("PUT", "/v1/uploads/%2E%2E/manifest.json", 400), ("PUT", "/v1/uploads/a%2Fb/manifest.json", 400),
        ("PUT", "/v1/uploads/M/manifest.json", 400), ("PUT", "/v1/uploads/m/..%2Fmanifest.json", 404),
        ("GET", "/../etc/passwd", 404), ("POST", "/v1/generations/1%20OR%201=1/promote", 400),
    ])
    func `What is not there is told so`(method: String, target: String, status: Int) async throws {
        try await withServer { path in
            let answer = try await onThread { try RawClient(path).post(target, "", method: method) }
            #expect(answer?.status == status, "\(answer?.text ?? "no answer")")
            #expect(answer?.error?.remedy.isEmpty == false)
        }
    }

    @Test func `The description and the server have the same routes`() throws {
        let file = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Schema/control.openapi.yaml")
        var described: Set<String> = []
        var path = ""
        var isInPaths = false
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            if !line.hasPrefix(" ") { isInPaths = line == "paths:" }
            guard isInPaths, line.hasSuffix(":") else { continue }
            let name = line.dropLast().drop { $0 == " " }
            if line.hasPrefix("  /") { path = String(name) }
            if line.hasPrefix("    "), !line.hasPrefix("     "), ["get", "put", "post", "delete"].contains(name) {
                described.insert("\(name.uppercased()) \(path)")
            }
        }
        #expect(described == Set(Route.templates.map { "\($0.method) \($0.path)" }))
        let examples = ["{id}": "7", "{number}": "7", "{name}": "m", "{file}": "manifest.json"]
        for template in Route.templates {
            let uri = examples.reduce(template.path) { $0.replacing($1.key, with: $1.value) }
            _ = try Route(method: .init(rawValue: template.method), uri: uri)
        }
    }
}

/// Waits for something that another task brings about; fails the test after 10 s.
func until(_ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("it did not happen in time")
            return
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}
