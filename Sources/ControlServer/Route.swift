import ControlAPI
import NIOHTTP1
import Core

/// What a request asks for: its method and path, understood.
enum Route: Sendable, Hashable {
    case status
    case lookupItems
    case item(ItemID)
    case lookupIdentifiers
    case next
    case under(prefix: Identifier, limit: Int, after: Identifier?)
    case collisions(limit: Int, after: ItemID?)
    case quarantine(limit: Int, after: ItemID?)
    case generations
    case upload(UploadName, UploadFile)
    case publish
    case promote(Int)
    case confirm
    case wait
    case dump
    case metrics
    case doctor(deep: Bool)
    case verify(generation: Int?)

    /// Methods and path templates of all routes, as the OpenAPI description has them.
    static let templates: [(method: String, path: String)] = [
        ("GET", "/v1/status"), ("POST", "/v1/items/lookup"), ("GET", "/v1/items/{id}"),
        ("POST", "/v1/identifiers/lookup"), ("POST", "/v1/trie/next"), ("GET", "/v1/trie/items"),
        ("GET", "/v1/collisions"), ("GET", "/v1/quarantine"), ("GET", "/v1/generations"), ("POST", "/v1/generations"),
        ("POST", "/v1/generations/{number}/promote"), ("POST", "/v1/catalog/confirm"),
        ("PUT", "/v1/uploads/{name}/{file}"), ("POST", "/v1/wait"),
        ("GET", "/v1/dump"), ("GET", "/v1/metrics"), ("GET", "/metrics"), ("GET", "/v1/doctor"),
        ("GET", "/v1/index/verify"),
    ]

    /// Whether it changes something, so that only listed users may call it.
    var isWrite: Bool {
        switch self {
        case .upload, .publish, .promote, .confirm: true
        default: false
        }
    }

    /// Most bytes of a body it takes.
    var bodyLimit: Int {
        switch self {
        case .lookupItems, .lookupIdentifiers, .next: RequestLimits.batchBody
        case .upload(_, let file): file.limit
        default: RequestLimits.body
        }
    }

    /// Understands a method and a URI.
    ///
    /// Throws `control.no_such_route` (404), `control.wrong_method` (405), or what is wrong with a parameter.
    init(method: HTTPMethod, uri: String) throws {
        let target = uri.utf8.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        let path = try target[0].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst().map {
            try Percent.decode($0)
        }
        var query = try Query(target.count > 1 ? target[1] : "".utf8[...])
        guard let (methods, make) = try Self.match(path.map { String(decoding: $0, as: UTF8.self) }, path) else {
            throw ControlFailure(
                "control.no_such_route", .notFound, "There is nothing at \(uri.prefix(200)).",
                remedy: "See Schema/control.openapi.yaml for the routes.")
        }
        guard methods.contains(method) else {
            throw ControlFailure(
                "control.wrong_method", .usage, "\(uri.prefix(200)) does not take \(method.rawValue).",
                remedy: "Use \(methods.map(\.rawValue).joined(separator: " or ")).", httpStatus: 405)
        }
        self = try make(method, &query)
        try query.end()
    }

    private typealias Maker = (HTTPMethod, inout Query) throws -> Route

    private static func match(_ path: [String], _ bytes: [[UInt8]]) throws -> ([HTTPMethod], Maker)? {
        if path == ["metrics"] { return ([.GET], { _, _ in .metrics }) }
        guard path.first == "v1" else { return nil }
        switch path.dropFirst().count {
        case 1: return matchOne(path[1])
        case 2:
            switch (path[1], path[2]) {
            case ("items", "lookup"):
                // An item may be called that too.
                return ([.POST, .GET], { method, _ in method == .POST ? .lookupItems : .item(try item(bytes[2])) })
            case ("items", _): return ([.GET], { _, _ in .item(try item(bytes[2])) })
            case ("identifiers", "lookup"): return ([.POST], { _, _ in .lookupIdentifiers })
            case ("catalog", "confirm"): return ([.POST], { _, _ in .confirm })
            case ("index", "verify"): return ([.GET], { .verify(generation: try $1.number("generation")) })
            case ("trie", "next"): return ([.POST], { _, _ in .next })
            case ("trie", "items"):
                return (
                    [.GET],
                    {
                        .under(
                            prefix: try $1.identifier("prefix") ?? Identifier(), limit: try $1.limit(),
                            after: try $1.identifier("after"))
                    }
                )
            default: return nil
            }
        case 3:
            if path[1] == "generations", path[3] == "promote" {
                guard path[2].utf8.count <= 9, path[2].utf8.allSatisfy({ (48...57).contains($0) }),
                    let number = Int(path[2])
                else { throw badParameter("generation", path[2], "a whole number") }
                return ([.POST], { _, _ in .promote(number) })
            }
            if path[1] == "uploads", let file = UploadFile(rawValue: path[3]) {
                guard let name = UploadName(path[2]) else { throw ControlFailure.badUploadName(path[2]) }
                return ([.PUT], { _, _ in .upload(name, file) })
            }
            return nil
        default: return nil
        }
    }

    private static func matchOne(_ name: String) -> ([HTTPMethod], Maker)? {
        switch name {
        case "status": ([.GET], { _, _ in .status })
        case "collisions": ([.GET], { .collisions(limit: try $1.limit(), after: try $1.item("after")) })
        case "quarantine": ([.GET], { .quarantine(limit: try $1.limit(), after: try $1.item("after")) })
        case "generations": ([.GET, .POST], { method, _ in method == .GET ? .generations : .publish })
        case "wait": ([.POST], { _, _ in .wait })
        case "dump": ([.GET], { _, _ in .dump })
        case "metrics": ([.GET], { _, _ in .metrics })
        case "doctor": ([.GET], { .doctor(deep: try $1.flag("deep")) })
        default: nil
        }
    }

    /// An item id from a path or query: its text form, or any bytes percent-encoded.
    fileprivate static func item(_ bytes: [UInt8]) throws -> ItemID {
        let id =
            if let text = String(validating: bytes, as: UTF8.self) { ItemID(text: text) } else { ItemID(bytes) }
        guard let id else {
            throw badParameter("item", String(decoding: bytes, as: UTF8.self), "1 to 511 bytes, as text or base64:…")
        }
        return id
    }

    fileprivate static func badParameter(_ name: String, _ value: String, _ expected: String) -> ControlFailure {
        ControlFailure(
            "control.bad_parameter", .usage, "‘\(value.prefix(100))’ is not a \(name).", remedy: "Give \(expected).")
    }
}

// MARK: - Query

/// The parameters of a URI, each taken once; what is left is an error.
private struct Query {
    private var parameters: [String: [UInt8]] = [:]

    init(_ text: Substring.UTF8View) throws {
        for pair in text.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(decoding: try Percent.decode(parts[0]), as: UTF8.self)
            let value = parts.count > 1 ? try Percent.decode(parts[1], plusIsSpace: true) : []
            guard parameters.updateValue(value, forKey: name) == nil else {
                throw ControlFailure(
                    "control.bad_parameter", .usage, "The parameter \(name.prefix(100)) comes twice.",
                    remedy: "Give it once.")
            }
        }
    }

    mutating func identifier(_ name: String) throws -> Identifier? {
        guard let value = parameters.removeValue(forKey: name) else { return nil }
        let text = String(decoding: value, as: UTF8.self)
        guard let identifier = Identifier(text: text) else { throw ControlFailure.badIdentifier(text) }
        return identifier
    }

    mutating func item(_ name: String) throws -> ItemID? {
        try parameters.removeValue(forKey: name).map { try Route.item($0) }
    }

    mutating func limit() throws -> Int {
        guard let value = parameters.removeValue(forKey: "limit") else { return RequestLimits.defaultPage }
        let text = String(decoding: value, as: UTF8.self)
        guard value.count <= 9, value.allSatisfy({ (48...57).contains($0) }), let limit = Int(text),
            (1...RequestLimits.page).contains(limit)
        else { throw Route.badParameter("limit", text, "a number from 1 to \(RequestLimits.page)") }
        return limit
    }

    /// A whole number, or nil if it is not given.
    mutating func number(_ name: String) throws -> Int? {
        guard let value = parameters.removeValue(forKey: name) else { return nil }
        let text = String(decoding: value, as: UTF8.self)
        guard value.count <= 9, value.allSatisfy({ (48...57).contains($0) }), let number = Int(text) else {
            throw Route.badParameter(name, text, "a whole number")
        }
        return number
    }

    /// `true` or `false`; false if it is not given.
    mutating func flag(_ name: String) throws -> Bool {
        guard let value = parameters.removeValue(forKey: name) else { return false }
        switch String(decoding: value, as: UTF8.self) {
        case "true": return true
        case "false": return false
        case let text: throw Route.badParameter(name, text, "true or false")
        }
    }

    func end() throws {
        guard let name = parameters.keys.min() else { return }
        throw ControlFailure(
            "control.bad_parameter", .usage, "This route has no parameter \(name.prefix(100)).",
            remedy: "See Schema/control.openapi.yaml for its parameters.")
    }
}

/// Percent-encoding of RFC 3986.
enum Percent {
    /// The bytes that this encodes; throws `control.bad_uri` where a `%` is not followed by two digits.
    static func decode(_ text: Substring.UTF8View, plusIsSpace: Bool = false) throws -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else {
                    throw ControlFailure(
                        "control.bad_uri", .usage, "A percent sign of the URI is not followed by two digits.",
                        remedy: "Write a percent sign itself as %25.")
                }
                result.append(high << 4 | low)
            } else {
                result.append(plusIsSpace && byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return result
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
}
