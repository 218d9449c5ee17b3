import ControlAPI
import ControlClient
import Core
import Foundation
import NIOHTTP1
import Synchronization
import Testing

@testable import ControlServer

@Suite struct RouteTests {
    @Test func `Every route that reads answers through the client`() async throws {
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
            let page = try await client.identifiers(below: [0, 0], limit: 10)
            #expect(page.identifiers.count == 10 && page.more)
            let rest = try await client.identifiers(below: [0, 0], limit: 1000, after: page.identifiers.last?.codes)
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

    @Test func `A model is uploaded and published, and wrong calls are refused`() async throws {
        let service = MemoryService()
        try await withServer(service) { path in
            let client = ControlClient(path: path)
            let name = try #require(UploadName("m"))
            let missing = await #expect(throws: RemoteFailure.self) { try await client.publish(upload: name) }
            #expect(missing?.kind == .notFound && missing?.code == "test.no_upload")
            let sizes = [ModelFile.manifest: 1000, .weights: 8 << 20]
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
            let conflict = await #expect(throws: RemoteFailure.self) { try await client.promote(1) }
            #expect(conflict?.kind == .conflict)
            try #expect(await client.confirmDeletions().confirmed.map(\.deletions) == [60])
        }
    }

    @Test func `An upload that is cut short is discarded`() async throws {
        let service = MemoryService()
        try await withServer(service) { path in
            try await onThread {
                let client = try RawClient(path)
                client.send("PUT /v1/uploads/m/manifest.json HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc")
            }
            try await until { service.state.withLock { $0.aborted == ["m/manifest.json"] && $0.uploads.isEmpty } }
        }
    }

    @Test func `A client that expects 100-continue gets it before it sends the body`() async throws {
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
            let failure = await #expect(throws: RemoteFailure.self) {
                try await client.waitCaughtUp(timeoutSeconds: 0)
            }
            #expect(failure?.kind == .temporary && failure?.remedy == "Wait longer.")
            // And the connection can still be used.
            try #expect(await client.status().generation == 1)
        }
    }

    @Test func `Metrics have the OpenMetrics format`() async throws {
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
        ("PUT", "/v1/uploads/m/other", 404), ("DELETE", "/v1/items/lookup", 405),
        ("PUT", "/v1/uploads/../manifest.json", 400),
        ("PUT", "/v1/uploads/%2E%2E/manifest.json", 400), ("PUT", "/v1/uploads/a%2Fb/manifest.json", 400),
        ("PUT", "/v1/uploads/M/manifest.json", 400), ("PUT", "/v1/uploads/m/..%2Fmanifest.json", 404),
        ("GET", "/../etc/passwd", 404), ("POST", "/v1/generations/1%20OR%201=1/promote", 400),
    ])
    func `A request that no route takes gets the right status and a remedy`(method: String, target: String, status: Int)
        async throws
    {
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
        #expect(described == Set(RouteTable.entries.map { "\($0.method) \($0.template)" }))
    }

    @Test func `Every route is found by its own path, with its own limit`() throws {
        let examples = ["{id}": "7", "{number}": "7", "{name}": "m"]
        for entry in RouteTable.entries {
            let uri = examples.reduce(entry.template) { $0.replacing($1.key, with: $1.value) }
            let (_, found) = try RouteTable.match(entry.method, uri)
            #expect(found.template == entry.template && found.method == entry.method)
            #expect(found.bodyLimit == entry.bodyLimit)
        }
        let uploads = RouteTable.entries.filter { $0.method == .PUT }
        #expect(Set(uploads.map(\.bodyLimit)) == Set(ModelFile.allCases.map(\.limit)))
        let writes = Set(RouteTable.entries.filter(\.isWrite).map { "\($0.method) \($0.template)" })
        #expect(
            writes == [
                "POST /v1/generations", "POST /v1/generations/{number}/promote", "POST /v1/catalog/confirm",
                "PUT /v1/uploads/{name}/manifest.json", "PUT /v1/uploads/{name}/tokenizer.safetensors",
            ])
    }

    @Test(arguments: ModelFile.allCases)
    func `A file above the limit is refused before it is sent, one at the limit is not`(file: ModelFile) async throws {
        let service = MemoryService()
        try await withServer(service) { path in
            // The client does not even connect.
            let client = ControlClient(path: path + "-nowhere")
            let name = try #require(UploadName("m"))
            let failure = await #expect(throws: ControlError.self) {
                try await client.upload(file, to: name, length: file.limit + 1) {
                    Issue.record("it is read")
                    return nil
                }
            }
            #expect(failure?.code == "control.body_too_large" && failure?.kind == .usage)
            let other = await #expect(throws: ControlError.self) {
                try await client.upload(file, to: name, length: file.limit) { nil }
            }
            #expect(other?.reason == .notRunning, "the size at the limit is accepted")

            // A client that does not check is refused by the server, from the announced size.
            try await onThread {
                for (length, status) in [(file.limit + 1, 413), (file.limit, 100)] {
                    let client = try RawClient(path)
                    client.send(
                        "PUT /v1/uploads/m/\(file.rawValue) HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
                            + "content-length: \(length)\r\n\r\n")
                    let answer = client.answer()
                    #expect(answer?.status == status, "\(length) bytes")
                    if status == 413 { #expect(answer?.error?.code == "control.body_too_large") }
                }
            }
        }
        #expect(service.state.withLock { $0.bytesReceived } == 0)
    }
}

/// Waits until a condition becomes true through another task; fails the test after 10 s.
func until(_ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("the condition did not become true in time")
            return
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}
