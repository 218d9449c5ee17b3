internal import Files
package import Logging
internal import Yams

/// What `--config` may set; a command-line option of the same name goes before it. Schema/config.schema.json.
package struct ConfigurationFile: Sendable, Equatable {
    /// Folder of the catalog, folder of the daemon's state, path of the control socket.
    package var catalog: String?
    package var state: String?
    package var socket: String?
    /// Milliseconds between two looks at the catalog, 1 to 60,000.
    package var pollInterval: Int?
    /// Milliseconds between two clearings of LMDB reader slots whose process died, 100 to 60,000.
    package var readerCheckInterval: Int?
    /// Threads that read the index for answers, 1 to 16.
    package var readers: Int?
    /// Least severe messages that are logged.
    package var logLevel: Logger.Level?

    package init() {}

    /// Reads a YAML file.
    ///
    /// - Throws: `daemon.bad_configuration` with the line, for what is no YAML, for a name that is not known, so that a
    ///   misspelt one is not passed over, and for a value that is not possible; `FilesFailure`.
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
            case "poll_interval": pollInterval = try number(1...60_000)
            case "reader_check_interval": readerCheckInterval = try number(100...60_000)
            case "readers": readers = try number(1...16)
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

    private static func bad(_ path: String, _ node: Node?, _ what: String) -> DaemonError {
        let line = node?.mark.map { ", line \($0.line)" } ?? ""
        return DaemonError(
            .badConfiguration, "The configuration \(path)\(line) cannot be used: \(what).",
            remedy: "Schema/config.schema.json lists what may be set.")
    }
}
