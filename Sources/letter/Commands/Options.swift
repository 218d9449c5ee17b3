import ArgumentParser
import ControlAPI
import ControlClient
import Core
import Glibc
import Synchronization

/// Which daemon to query.
struct ConnectionOptions: ParsableArguments {
    // Not also an option of the root command: the parser would give the value to that one and leave this one empty.
    @Option(help: ArgumentHelp("Path of the daemon's socket.", valueName: "path"))
    var socket: String?

    private static let given = Mutex<String?>(nil)

    /// Sets the path that was given before the subcommand.
    static func setDefault(_ path: String) { given.withLock { $0 = path } }

    /// The socket's path.
    var path: String {
        socket ?? Self.given.withLock { $0 } ?? SocketPath.standard
    }

    /// A client of that daemon.
    func client() -> ControlClient { ControlClient(path: path) }
}

/// How to print.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON instead of a table.")
    var json = false
}

/// Which page of a listing.
struct PageOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Number of rows to print at most, 1 to 10000.", valueName: "n"))
    var limit = RequestLimits.defaultPage

    @Option(help: ArgumentHelp("Start after this row, the last one of the page before.", valueName: "row"))
    var after: String?

    func validate() throws {
        guard (1...RequestLimits.page).contains(limit) else {
            throw ValidationError("--limit must be from 1 to \(RequestLimits.page).")
        }
    }

    /// `after` as an item id.
    func afterItem() throws -> ItemID? { try after.map(itemArgument) }

    /// `after` as an identifier.
    func afterIdentifier() throws -> Identifier? { try after.map(identifierArgument) }
}

/// Reads an item id from an argument or a line.
func itemArgument(_ text: String) throws -> ItemID {
    guard let id = ItemID(text: text) else {
        throw ValidationError(
            "‘\(text.prefix(100))’ is not an item id: 1 to \(ItemID.maximumLength) bytes, as text or base64:….")
    }
    return id
}

/// Reads an identifier or a prefix from an argument or a line.
func identifierArgument(_ text: String) throws -> Identifier {
    guard let identifier = Identifier(text: text) else {
        throw ValidationError("‘\(text.prefix(100))’ is not an identifier: 12-3-7-0 or <a_12><b_3><c_7><d_0>.")
    }
    return identifier
}

/// Passes arguments, or for a single `-` the lines of standard input, to `body` in batches.
func forEachBatch(_ arguments: [String], size: Int = 1000, _ body: ([String]) async throws -> Void) async throws {
    guard arguments == ["-"] else {
        for start in stride(from: 0, to: arguments.count, by: size) {
            try await body(Array(arguments[start..<min(arguments.count, start + size)]))
        }
        return
    }
    var batch: [String] = []
    while let line = readLine() {
        if line.isEmpty { continue }
        batch.append(line)
        if batch.count == size {
            try await body(batch)
            batch.removeAll(keepingCapacity: true)
        }
    }
    if !batch.isEmpty { try await body(batch) }
}
