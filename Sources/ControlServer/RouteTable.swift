import ControlAPI
import Core
import NIOHTTP1

/// Everything that the server knows about a route before it reads the body of a request.
struct RouteEntry: Sendable {
    let method: HTTPMethod
    /// The path as the OpenAPI description writes it; `{name}` stands for any one segment.
    let template: String
    /// Largest body that it accepts, in bytes.
    let bodyLimit: Int
    /// Whether it changes something, so that only listed users may call it.
    let isWrite: Bool
    /// The route with the parameters of a request.
    let make: @Sendable (inout Parameters) throws -> Route

    private enum Segment: Sendable {
        case literal([UInt8])
        case parameter(String)
    }
    private let segments: [Segment]

    init(
        _ method: HTTPMethod, _ template: String, bodyLimit: Int = RequestLimits.body, isWrite: Bool = false,
        _ make: @escaping @Sendable (inout Parameters) throws -> Route
    ) {
        self.method = method
        self.template = template
        self.bodyLimit = bodyLimit
        self.isWrite = isWrite
        self.make = make
        segments = template.split(separator: "/").map {
            $0.hasPrefix("{") ? .parameter(String($0.dropFirst().dropLast())) : .literal(Array($0.utf8))
        }
    }

    /// The path's parameters by name; nil if the path does not match the template. O(bytes of the path).
    func match(_ path: [[UInt8]]) -> [String: [UInt8]]? {
        guard path.count == segments.count else { return nil }
        var parameters: [String: [UInt8]] = [:]
        for (segment, bytes) in zip(segments, path) {
            switch segment {
            case .literal(let expected): guard bytes == expected else { return nil }
            case .parameter(let name): parameters[name] = bytes
            }
        }
        return parameters
    }
}

/// The one table of routes: methods, paths, body limits and rights. A test compares it with
/// Schema/control.openapi.yaml.
enum RouteTable {
    /// All routes. `GET /v1/items/lookup` is the item called `lookup`, because methods are compared too.
    static let entries: [RouteEntry] =
        [
            RouteEntry(.GET, "/v1/status") { _ in .status },
            RouteEntry(.POST, "/v1/items/lookup", bodyLimit: RequestLimits.batchBody) { _ in .lookupItems },
            RouteEntry(.GET, "/v1/items/{id}") { .item(try $0.item("id")) },
            RouteEntry(.POST, "/v1/identifiers/lookup", bodyLimit: RequestLimits.batchBody) { _ in .lookupIdentifiers },
            RouteEntry(.POST, "/v1/trie/next", bodyLimit: RequestLimits.batchBody) { _ in .next },
            RouteEntry(.GET, "/v1/trie/items") {
                .identifiersBelow(
                    prefix: try $0.query.identifier("prefix") ?? Identifier(), limit: try $0.query.limit(),
                    after: try $0.query.identifier("after"))
            },
            RouteEntry(.GET, "/v1/collisions") {
                .collisions(limit: try $0.query.limit(), after: try $0.query.item("after"))
            },
            RouteEntry(.GET, "/v1/quarantine") {
                .quarantine(limit: try $0.query.limit(), after: try $0.query.item("after"))
            },
            RouteEntry(.GET, "/v1/generations") { _ in .generations },
            RouteEntry(.POST, "/v1/generations", isWrite: true) { _ in .publish },
            RouteEntry(.POST, "/v1/generations/{number}/promote", isWrite: true) {
                .promote(try $0.wholeNumber("number", of: "generation"))
            },
            RouteEntry(.POST, "/v1/catalog/confirm", isWrite: true) { _ in .confirm },
            RouteEntry(.POST, "/v1/wait") { _ in .wait },
            RouteEntry(.GET, "/v1/dump") { _ in .dump },
            RouteEntry(.GET, "/v1/metrics") { _ in .metrics },
            RouteEntry(.GET, "/metrics") { _ in .metrics },
            RouteEntry(.GET, "/v1/doctor") { .doctor(deep: try $0.query.flag("deep")) },
            RouteEntry(.GET, "/v1/index/verify") { .verify(generation: try $0.query.number("generation")) },
        ]
        + ModelFile.allCases.map { file in
            RouteEntry(.PUT, "/v1/uploads/{name}/\(file.rawValue)", bodyLimit: file.limit, isWrite: true) {
                .upload(try $0.uploadName("name"), file)
            }
        }

    /// Finds the route of a request.
    ///
    /// - Throws: `control.no_such_route` (404), `control.wrong_method` (405), or what is wrong with a parameter.
    static func match(_ method: HTTPMethod, _ uri: String) throws -> (route: Route, entry: RouteEntry) {
        let target = uri.utf8.split(separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        let path = try target[0].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst().map {
            try Percent.decode($0)
        }
        let query = try Query(target.count > 1 ? target[1] : "".utf8[...])
        var methods: [String] = []
        for entry in entries {
            guard let found = entry.match(path) else { continue }
            guard entry.method == method else {
                methods.append(entry.method.rawValue)
                continue
            }
            var parameters = Parameters(path: found, query: query)
            let route = try entry.make(&parameters)
            try parameters.query.end()
            return (route, entry)
        }
        guard methods.isEmpty else {
            throw ControlError(
                .wrongMethod, "\(uri.prefix(200)) does not take \(method.rawValue).",
                remedy: "Use \(methods.joined(separator: " or ")).")
        }
        throw ControlError(
            .noSuchRoute, "There is nothing at \(uri.prefix(200)).",
            remedy: "See Schema/control.openapi.yaml for the routes.")
    }
}
