package import ControlServer
import Files
package import Logging
package import Core
import Yams

/// What `--config` may set; a command-line option of the same name goes before it. Schema/config.schema.json.
package struct ConfigurationFile: Sendable, Equatable {
    /// Folder of the catalog, folder of the daemon's state, path of the control socket.
    package var catalog: String?
    package var state: String?
    package var socket: String?
    /// Who may connect to the control socket.
    package var socketAccess: ControlSocket.Access?
    /// Ids of the users, besides root and the daemon's own, who may change things over the control socket.
    package var writers: [UInt32]?
    /// Milliseconds between two polls of the catalog, 1 to 60,000.
    package var pollInterval: Int?
    /// Milliseconds between two clean-ups of LMDB reader slots whose process died, 100 to 60,000.
    package var readerCheckInterval: Int?
    /// Threads that read the index for answers, 1 to 16.
    package var readers: Int?
    /// Least severe messages that are logged.
    package var logLevel: Logger.Level?
    /// How collisions are resolved in generations published from now on.
    package var collisionPolicy: CollisionPolicy?
    /// Whether edited items keep their identifiers, and when tombstones may be given to other items.
    package var rules = AssignmentRules()

    package init() {}

    /// Reads a YAML file.
    ///
    /// - Throws: `daemon.bad_configuration` with the line, for what is no YAML, for a name that is not known, so that a
    ///   misspelt one is not passed over, and for a value that is not possible; `FilesError`.
    package init(path: String) throws {
        let bytes = try FileSystem.read(path, limit: 1 << 20)
        try self.init(yaml: String(decoding: bytes, as: UTF8.self), path: path)
    }

    init(yaml: String, path: String) throws {
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            throw Self.bad(path, nil, "it is no YAML: \(error)")
        }
        guard let root, root.null == nil else { return }
        guard let mapping = root.mapping else { throw Self.bad(path, root, "it is no mapping of names to values") }
        for (key, value) in mapping {
            func text() throws -> String {
                guard let text = value.scalar?.string, !text.isEmpty else {
                    throw Self.bad(path, value, "\(key.string ?? "") is no text")
                }
                return text
            }
            func number(_ range: ClosedRange<Int>) throws -> Int {
                guard let number = value.int, range.contains(number) else {
                    let limits = "\(range.lowerBound) to \(range.upperBound)"
                    throw Self.bad(path, value, "\(key.string ?? "") is no whole number from \(limits)")
                }
                return number
            }
            switch key.string {
            case "catalog": catalog = try text()
            case "state": state = try text()
            case "socket": socket = try text()
            case "socket_mode": socketAccess = try choice(key, value, path)
            case "writers": writers = try Self.users(value, path)
            case "poll_interval": pollInterval = try number(1...60_000)
            case "reader_check_interval": readerCheckInterval = try number(100...60_000)
            case "readers": readers = try number(1...16)
            case "collision_policy": collisionPolicy = try choice(key, value, path)
            case "on_edit": rules.onEdit = try choice(key, value, path)
            case "balance_first_build":
                guard let isBalanced = value.bool else {
                    throw Self.bad(path, value, "balance_first_build is neither true nor false")
                }
                rules.balancesFirstBuild = isBalanced
            case "tombstone_reuse_after": rules.tombstoneReuse = try Self.duration(try text(), value, path)
            case "log_level":
                guard let level = Logger.Level(rawValue: try text()) else {
                    throw Self.bad(
                        path, value,
                        "log_level is none of \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                logLevel = level
            case let name: throw Self.bad(path, key, "'\(name ?? "")' is not known")
            }
        }
    }

    /// One of the names of an enumeration.
    private func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: Node, _ value: Node, _ path: String
    ) throws -> Choice where Choice.RawValue == String {
        guard let choice = value.scalar.flatMap({ Choice(rawValue: $0.string) }) else {
            let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw Self.bad(path, value, "\(key.string ?? "") is none of \(names)")
        }
        return choice
    }

    /// A list of user ids.
    private static func users(_ value: Node, _ path: String) throws -> [UInt32] {
        guard let ids = value.sequence?.map({ $0.int.flatMap(UInt32.init(exactly:)) }), !ids.contains(nil) else {
            throw bad(path, value, "writers is not a list of user ids, such as [1000, 1001]")
        }
        return ids.compactMap(\.self)
    }

    /// Milliseconds of `90d`, `12h`, `30m` or `10s`; nil: `never`.
    private static func duration(_ text: String, _ value: Node, _ path: String) throws -> Int? {
        if text == "never" { return nil }
        let units: [Character: Int] = ["d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000]
        guard let unit = text.last.flatMap({ units[$0] }), text.dropLast().utf8.allSatisfy({ (48...57).contains($0) }),
            let number = Int(text.dropLast()), (1...1_000_000).contains(number)
        else {
            throw bad(
                path, value,
                "tombstone_reuse_after is neither 'never' nor a number from 1 to 1000000 with d, h, m or s behind it")
        }
        return number * unit
    }

    private static func bad(_ path: String, _ node: Node?, _ what: String) -> DaemonError {
        let line = node?.mark.map { ", line \($0.line)" } ?? ""
        return DaemonError(
            .badConfiguration, "The configuration \(path)\(line) cannot be used: \(what).",
            remedy: "Schema/config.schema.json lists what may be set.")
    }
}
