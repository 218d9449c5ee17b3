package import ControlAPI
import FoundationEssentials
package import Core

/// The daemon as the command line sees it.
///
/// One connection, kept and reopened as needed; calls go one after the other. It blocks on a thread of its own. Every
/// call throws `control.not_running` (kind `notRunning`) when no daemon answers, and what the daemon reports with its
/// code, kind and remedy.
package actor ControlClient {
    /// Where the socket is.
    package nonisolated let path: String

    private let executor = BlockingExecutor()
    /// The connection while it is good for another call; nil while a call runs, so that one that fails drops it.
    private var connection: HTTPConnection?
    private let timeoutSeconds: Int

    // The actor runs on its own queue because every call blocks.
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// A client that connects at its first call.
    ///
    /// - Parameter timeoutSeconds: how long the daemon may be silent before a call fails.
    package init(path: String, timeoutSeconds: Int = 60) {
        self.path = path
        self.timeoutSeconds = timeoutSeconds
    }

    // MARK: - Routes

    /// How the daemon is.
    package func status() throws -> Status { try decode(call("GET", "/v1/status")) }

    /// Identifiers of items, in the order asked; at most `RequestLimits.lookups` of them.
    package func items(_ ids: [ItemID]) throws -> ItemsAnswer {
        try decode(call("POST", "/v1/items/lookup", ItemsRequest(ids: ids).jsonBytes))
    }

    /// Items of identifiers, in the order asked; at most `RequestLimits.lookups` of them.
    package func identifiers(_ identifiers: [Identifier]) throws -> IdentifiersAnswer {
        try decode(call("POST", "/v1/identifiers/lookup", IdentifiersRequest(identifiers: identifiers).jsonBytes))
    }

    /// What may follow prefixes, in the order asked; at most `RequestLimits.prefixes` of them.
    package func next(_ prefixes: [Identifier]) throws -> TrieAnswers {
        try decode(call("POST", "/v1/trie/next", NextRequest(prefixes: prefixes).jsonBytes))
    }

    /// A page of the live identifiers below a prefix.
    package func under(prefix: Identifier, limit: Int, after: Identifier? = nil) throws -> IdentifiersAnswer {
        let start = after.map { "&after=\($0)" } ?? ""
        return try decode(call("GET", "/v1/trie/items?prefix=\(prefix)&limit=\(limit)\(start)"))
    }

    /// A page of the collisions.
    package func collisions(limit: Int, after: ItemID? = nil) throws -> CollisionsAnswer {
        try decode(call("GET", "/v1/collisions?limit=\(limit)\(Self.query(after))"))
    }

    /// A page of the quarantine.
    package func quarantine(limit: Int, after: ItemID? = nil) throws -> QuarantineAnswer {
        try decode(call("GET", "/v1/quarantine?limit=\(limit)\(Self.query(after))"))
    }

    /// All generations.
    package func generations() throws -> GenerationsAnswer { try decode(call("GET", "/v1/generations")) }

    /// Sends one file of an upload; `next` gives its bytes until nil, `length` of them in all.
    package func upload(
        _ file: UploadFile, to upload: UploadName, length: Int, next: @Sendable () throws -> [UInt8]?
    ) throws -> UploadReceipt {
        connection = nil
        let (connection, _) = try open()
        // A failure halfway leaves a request half sent; nothing else may follow it.
        self.connection = nil
        let head =
            "PUT /v1/uploads/\(upload)/\(file.rawValue) HTTP/1.1\r\nhost: letter\r\ncontent-length: \(length)\r\n\r\n"
        var isOpen = try connection.send(Array(head.utf8))
        while isOpen, let bytes = try next() { isOpen = try connection.send(bytes) }
        do {
            return try decode(answer(on: connection))
        } catch is HTTPConnection.ClosedBeforeAnswer {
            throw Self.gone
        }
    }

    /// Makes a generation of an upload.
    package func publish(upload: UploadName) throws -> GenerationInfo {
        try decode(call("POST", "/v1/generations", PublishRequest(upload: upload).jsonBytes, repeatable: false))
    }

    /// Makes a generation the active one.
    package func promote(_ generation: Int) throws -> GenerationInfo {
        try decode(call("POST", "/v1/generations/\(generation)/promote", [], repeatable: false))
    }

    /// Has deletions applied that wait for confirmation.
    package func confirmDeletions() throws -> ConfirmAnswer {
        try decode(call("POST", "/v1/catalog/confirm", [], repeatable: false))
    }

    /// Whether all is well; `deep` takes seconds per million items.
    package func doctor(deep: Bool) throws -> ChecksAnswer {
        try decode(call("GET", "/v1/doctor?deep=\(deep)", patience: Self.checkPatience))
    }

    /// Whether the index of a generation, nil: the active one, and the catalog say the same.
    package func verify(generation: Int?) throws -> ChecksAnswer {
        let query = generation.map { "?generation=\($0)" } ?? ""
        return try decode(call("GET", "/v1/index/verify\(query)", patience: Self.checkPatience))
    }

    /// Seconds that checks of a large index may take.
    private static let checkPatience = 3_600

    /// Waits until every commit so far is answered for; throws a failure of kind `temporary` at the timeout.
    package func waitCaughtUp(timeoutSeconds: Double) throws -> Status {
        let body = WaitRequest(timeoutSeconds: timeoutSeconds).jsonBytes
        return try decode(call("POST", "/v1/wait", body, patience: Int(timeoutSeconds.rounded(.up))))
    }

    /// Gives the dump's JSON lines to `consume` as they come, in pieces that end anywhere. Returns the generation.
    @discardableResult
    package func dump(_ consume: @Sendable (ArraySlice<UInt8>) throws -> Void) throws -> Int? {
        // One retry, as for every call that changes nothing: the kept connection may have been closed meanwhile.
        while true {
            let (connection, isFresh) = try open()
            do {
                _ = try connection.send(Self.request("GET", "/v1/dump", []))
                self.connection = nil
                let head = try connection.head()
                guard head.status == 200 else { throw Self.failure(head, try body(of: head, on: connection)) }
                try connection.body(of: head, consume)
                if head.keepsAlive { self.connection = connection }
                return head.headers["letter-generation"].flatMap { Int($0) }
            } catch is HTTPConnection.ClosedBeforeAnswer {
                guard !isFresh else { throw Self.gone }
            }
        }
    }

    // MARK: - Calls

    private static let gone = ControlFailure(
        "control.connection_closed", .temporary, "The daemon closed the connection without an answer.",
        remedy: "Try again, and look at the daemon's log if it stays.")

    private static func query(_ after: ItemID?) -> String {
        guard let after else { return "" }
        var text = "&after="
        for byte in after.text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122: text.unicodeScalars.append(UnicodeScalar(byte))
            default: text += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return text
    }

    private static func request(_ method: String, _ target: String, _ body: [UInt8]) -> [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\nhost: letter\r\n"
        if method == "POST" { text += "content-type: application/json\r\ncontent-length: \(body.count)\r\n" }
        return Array((text + "\r\n").utf8) + body
    }

    private func open() throws -> (HTTPConnection, isFresh: Bool) {
        if let connection { return (connection, false) }
        let fresh = try HTTPConnection(path: path)
        fresh.setTimeout(seconds: timeoutSeconds)
        connection = fresh
        return (fresh, true)
    }

    /// One request and the body of its answer. A request that changes nothing is sent again once if the connection,
    /// kept from an earlier call, was closed before it answered.
    private func call(
        _ method: String, _ target: String, _ body: [UInt8] = [], repeatable: Bool = true, patience: Int = 0
    ) throws -> [UInt8] {
        // A call that must not be made twice starts on a connection that cannot have been closed meanwhile.
        if !repeatable { connection = nil }
        while true {
            let (connection, isFresh) = try open()
            connection.setTimeout(seconds: timeoutSeconds + patience)
            do {
                _ = try connection.send(Self.request(method, target, body))
                return try answer(on: connection)
            } catch is HTTPConnection.ClosedBeforeAnswer {
                guard !isFresh else { throw Self.gone }
            }
        }
    }

    private func answer(on connection: HTTPConnection) throws -> [UInt8] {
        self.connection = nil
        let head = try connection.head()
        let body = try body(of: head, on: connection)
        guard (200..<300).contains(head.status) else { throw Self.failure(head, body) }
        return body
    }

    /// The whole body; keeps the connection once it is read.
    private func body(of head: HTTPConnection.Head, on connection: HTTPConnection) throws -> [UInt8] {
        var body: [UInt8] = []
        try connection.body(of: head) { body.append(contentsOf: $0) }
        if head.keepsAlive { self.connection = connection }
        return body
    }

    private static func failure(_ head: HTTPConnection.Head, _ body: [UInt8]) -> ControlFailure {
        guard let report = try? JSONDecoder().decode(ErrorBody.self, from: Data(body)) else {
            return ControlFailure(
                "control.unknown_answer", .internal, "The daemon answered with status \(head.status) and no reason.",
                remedy: "Check that letter and letterd are of the same version.")
        }
        return report.failure(httpStatus: head.status)
    }

    private func decode<Value: Decodable>(_ body: [UInt8]) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(body))
        } catch {
            throw ControlFailure(
                "control.unknown_answer", .internal, "The daemon's answer cannot be understood.",
                remedy: "Check that letter and letterd are of the same version.", cause: error)
        }
    }
}
