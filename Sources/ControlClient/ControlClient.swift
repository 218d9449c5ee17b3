package import ControlAPI
package import Core

/// A client of the daemon's control socket.
///
/// It keeps one connection, reopens it as needed, and makes one call after the other, blocking on a thread of its own.
/// Every call throws `control.not_running` (kind `notRunning`) if no daemon answers, and a `RemoteFailure` with code, kind
/// and remedy for a failure that the daemon reports.
package actor ControlClient {
    /// Path of the socket.
    package nonisolated let path: String

    private let executor = BlockingExecutor(name: "control-client")
    /// The connection while it can be used for another call; nil during a call, so that a failed call drops it.
    private var connection: HTTPConnection?
    private let timeoutSeconds: Int

    // The actor runs on a thread of its own because every call blocks.
    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// A client that connects at its first call.
    ///
    /// - Parameter timeoutSeconds: how long the daemon may send nothing before a call fails.
    package init(path: String, timeoutSeconds: Int = 60) {
        self.path = path
        self.timeoutSeconds = timeoutSeconds
    }

    // MARK: - Routes

    /// The status of the daemon.
    package func status() throws -> Status { try decode(call("GET", "/v1/status")) }

    /// Identifiers of items, in the order of `ids`; at most `RequestLimits.lookups` of them.
    package func items(_ ids: [ItemID]) throws -> ItemsAnswer {
        try decode(call("POST", "/v1/items/lookup", ItemsRequest(ids: ids).jsonBytes))
    }

    /// Items of identifiers, in the order of `identifiers`; at most `RequestLimits.lookups` of them.
    package func identifiers(_ identifiers: [Identifier]) throws -> IdentifiersAnswer {
        try decode(call("POST", "/v1/identifiers/lookup", IdentifiersRequest(identifiers: identifiers).jsonBytes))
    }

    /// The codes that may follow prefixes, in the order of `prefixes`; at most `RequestLimits.prefixes` of them.
    package func next(_ prefixes: [Identifier]) throws -> TrieAnswers {
        try decode(call("POST", "/v1/trie/next", NextRequest(prefixes: prefixes).jsonBytes))
    }

    /// A page of the live identifiers below a prefix.
    package func identifiers(
        below prefix: Identifier, limit: Int, after: Identifier? = nil
    ) throws -> IdentifiersAnswer {
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

    /// Uploads one file of a model; `next` returns its bytes until nil, `length` of them in all.
    ///
    /// - Throws: `control.body_too_large` before anything is sent if the file is larger than the daemon accepts; what
    ///   `next` throws.
    package func upload(
        _ file: ModelFile, to upload: UploadName, length: Int, next: @Sendable () throws -> [UInt8]?
    ) throws -> UploadReceipt {
        guard length <= file.limit else { throw ControlError.tooLarge(file, bytes: length) }
        connection = nil
        let (connection, _) = try open()
        // A failure in the middle leaves a request half sent; no other request may follow it.
        self.connection = nil
        let head =
            "PUT /v1/uploads/\(upload)/\(file.rawValue) HTTP/1.1\r\nhost: letter\r\ncontent-length: \(length)\r\n\r\n"
        var isOpen = try connection.send(Array(head.utf8))
        while isOpen, let bytes = try next() { isOpen = try connection.send(bytes) }
        do {
            return try decode(answer(on: connection))
        } catch is HTTPConnection.ClosedBeforeAnswer {
            throw Self.closed
        }
    }

    /// Makes a generation from an upload.
    package func publish(upload: UploadName) throws -> GenerationInfo {
        try decode(call("POST", "/v1/generations", PublishRequest(upload: upload).json(), isRepeatable: false))
    }

    /// Makes a generation the active one.
    package func promote(_ generation: Int) throws -> GenerationInfo {
        try decode(call("POST", "/v1/generations/\(generation)/promote", [], isRepeatable: false))
    }

    /// Lets deletions that wait for confirmation be applied.
    package func confirmDeletions() throws -> ConfirmAnswer {
        try decode(call("POST", "/v1/catalog/confirm", [], isRepeatable: false))
    }

    /// Checks the daemon's files, catalog and socket; `deep` takes seconds per million items.
    package func doctor(deep: Bool) throws -> ChecksAnswer {
        try decode(call("GET", "/v1/doctor?deep=\(deep)", longer: Self.checkSeconds))
    }

    /// Checks that the index of a generation (nil: the active one) agrees with itself and with the catalog.
    package func verify(generation: Int?) throws -> ChecksAnswer {
        let query = generation.map { "?generation=\($0)" } ?? ""
        return try decode(call("GET", "/v1/index/verify\(query)", longer: Self.checkSeconds))
    }

    /// How long the checks of a large index may take, in seconds.
    private static let checkSeconds = 3_600

    /// Waits until the daemon has caught up with every commit so far.
    ///
    /// - Throws: a failure of kind `temporary` if that takes longer than the timeout.
    package func waitCaughtUp(timeoutSeconds: Double) throws -> Status {
        let body = try WaitRequest(timeoutSeconds: timeoutSeconds).json()
        return try decode(call("POST", "/v1/wait", body, longer: Int(timeoutSeconds.rounded(.up))))
    }

    /// Passes the dump's JSON lines to `consume` as they arrive, in pieces that may end anywhere.
    ///
    /// - Returns: the number of the generation.
    @discardableResult
    package func dump(_ consume: @Sendable (ArraySlice<UInt8>) throws -> Void) throws -> Int? {
        // One retry, as for every call that changes nothing: the daemon may have closed the kept connection meanwhile.
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
                guard !isFresh else { throw Self.closed }
            }
        }
    }

    // MARK: - Calls

    private static let closed = ControlError(
        .connectionClosed, "The daemon closed the connection without an answer.",
        remedy: "Try again, and check the daemon's log if it happens again.")

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

    /// Sends one request and returns the body of its answer.
    ///
    /// A request that changes nothing is sent a second time if the connection was kept from an earlier call and closed
    /// before it answered.
    ///
    /// - Parameter longer: seconds that the call may take beyond the client's timeout.
    private func call(
        _ method: String, _ target: String, _ body: [UInt8] = [], isRepeatable: Bool = true, longer: Int = 0
    ) throws -> [UInt8] {
        // A call that must not be made twice gets a new connection, which cannot have been closed meanwhile.
        if !isRepeatable { connection = nil }
        while true {
            let (connection, isFresh) = try open()
            connection.setTimeout(seconds: timeoutSeconds + longer)
            do {
                _ = try connection.send(Self.request(method, target, body))
                return try answer(on: connection)
            } catch is HTTPConnection.ClosedBeforeAnswer {
                guard !isFresh else { throw Self.closed }
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

    private static func failure(_ head: HTTPConnection.Head, _ body: [UInt8]) -> any Failure {
        guard let report = try? WireJSON.decode(ErrorBody.self, from: body) else {
            return unknownAnswer("The daemon answered with status \(head.status) and no reason.")
        }
        return report.failure(httpStatus: head.status)
    }

    private func decode<Value: Decodable>(_ body: [UInt8]) throws -> Value {
        do {
            return try WireJSON.decode(from: body)
        } catch {
            throw Self.unknownAnswer("The daemon's answer cannot be read.", cause: error)
        }
    }

    private static func unknownAnswer(_ message: String, cause: (any Error)? = nil) -> ControlError {
        ControlError(
            .unknownAnswer, message, remedy: "Check that letter and letterd are of the same version.", cause: cause)
    }
}
