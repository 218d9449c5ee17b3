import ControlAPI
import Glibc
import Synchronization
import Core

/// The Unix socket of the daemon: locked, bound and private, not yet listening.
///
/// Who holds one is the only daemon at that path, by a lock on `<path>.lock` that the kernel lets go of when the
/// process dies. Bind it first, open the state directory then, and serve last.
package final class ControlSocket: Sendable {
    /// Most bytes of a path: `sun_path` has 108, one of which ends it.
    package static let maximumPathLength = 107

    /// Where it is.
    package let path: String

    private struct Descriptors {
        var lock: Int32
        var socket: Int32?
        var isOpen = true
    }
    private let descriptors: Mutex<Descriptors>

    /// Locks and binds `path`, making its directory (0750) if that is all that is missing, and replacing the socket
    /// that a dead daemon left.
    ///
    /// The socket has `mode` before anyone can connect: umask covers the bind, and it listens only later. The umask is
    /// the process's, so call this before other threads create files.
    ///
    /// Throws `control.socket_path_too_long`, `control.already_running`, `control.socket_path_taken` or
    /// `control.socket_failed`.
    package init(path: String, mode: UInt32 = 0o600) throws {
        guard (1...Self.maximumPathLength).contains(path.utf8.count), !path.utf8.contains(0) else {
            throw ControlFailure(
                "control.socket_path_too_long", .configuration,
                "The socket path has \(path.utf8.count) bytes; it may have 1 to \(Self.maximumPathLength): \(path)",
                remedy: "Choose a shorter path with --socket.")
        }
        let parent = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        if !parent.isEmpty { _ = mkdir(parent, 0o750) }

        let lock = try Self.lock(path)
        do {
            try Self.removeStale(path)
            let socket = try Self.bind(path, mode: mode)
            self.path = path
            descriptors = Mutex(Descriptors(lock: lock, socket: socket))
        } catch {
            Glibc.close(lock)
            throw error
        }
    }

    deinit { close() }

    /// Hands over the bound descriptor, once; the taker closes it.
    func takeDescriptor() throws -> Int32 {
        try descriptors.withLock {
            guard let socket = $0.socket else {
                throw ControlFailure(
                    "control.socket_used", .internal, "The control socket serves already.",
                    remedy: "Bind another one.")
            }
            $0.socket = nil
            return socket
        }
    }

    /// Removes the socket and lets go of the lock. The lock's file stays: removing it would race with the next owner.
    package func close() {
        descriptors.withLock {
            guard $0.isOpen else { return }
            $0.isOpen = false
            unlink(path)
            if let socket = $0.socket { Glibc.close(socket) }
            $0.socket = nil
            Glibc.close($0.lock)
        }
    }

    // MARK: - Steps

    private static func lock(_ path: String) throws -> Int32 {
        let descriptor = retrying { open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600) }
        guard descriptor >= 0 else { throw failed("open", path + ".lock", errno) }
        guard retrying({ flock(descriptor, LOCK_EX | LOCK_NB) }) == 0 else {
            let reason = errno
            Glibc.close(descriptor)
            throw reason == EWOULDBLOCK ? alreadyRunning(path) : failed("flock", path + ".lock", reason)
        }
        return descriptor
    }

    private static func alreadyRunning(_ path: String) -> ControlFailure {
        ControlFailure(
            "control.already_running", .conflict, "Another daemon serves the socket \(path).",
            remedy: "Stop it first, or give this one another --socket and --state.")
    }

    /// Removes a socket nobody answers at. Under our lock no daemon can be about to bind it.
    private static func removeStale(_ path: String) throws {
        var information = stat()
        guard lstat(path, &information) == 0 else {
            if errno == ENOENT { return }
            throw failed("lstat", path, errno)
        }
        guard information.st_mode & S_IFMT == S_IFSOCK else {
            throw ControlFailure(
                "control.socket_path_taken", .conflict, "\(path) is there and is not a socket.",
                remedy: "Move it away, or choose another path with --socket.")
        }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { throw failed("socket", path, errno) }
        defer { Glibc.close(probe) }
        // Someone else's server, without our lock: it is not ours to remove.
        if withAddress(path, { connect(probe, $0, $1) }) == 0 { throw alreadyRunning(path) }
        guard errno == ECONNREFUSED else { throw failed("connect", path, errno) }
        guard unlink(path) == 0 || errno == ENOENT else { throw failed("unlink", path, errno) }
    }

    /// The umask is the process's: two sockets bound at once would each save the other's.
    private static let umaskLock = Mutex(())

    private static func bind(_ path: String, mode: UInt32) throws -> Int32 {
        let flags = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, flags, 0)
        guard descriptor >= 0 else { throw failed("socket", path, errno) }
        let (result, reason) = umaskLock.withLock { _ in
            let previous = umask(0o177)
            defer { umask(previous) }
            return (withAddress(path) { Glibc.bind(descriptor, $0, $1) }, errno)
        }
        guard result == 0 else {
            Glibc.close(descriptor)
            throw failed("bind", path, reason)
        }
        // Wider than the owner's only before anyone can connect: it does not listen yet.
        if mode != 0o600, chmod(path, mode) != 0 {
            let reason = errno
            unlink(path)
            Glibc.close(descriptor)
            throw failed("chmod", path, reason)
        }
        return descriptor
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(maximumPathLength)) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    private static func retrying(_ call: () -> Int32) -> Int32 {
        while true {
            let result = call()
            if result != -1 || errno != EINTR { return result }
        }
    }

    private static func failed(_ call: String, _ path: String, _ reason: Int32) -> ControlFailure {
        ControlFailure(
            "control.socket_failed", reason == EACCES || reason == EPERM ? .permission : .unavailable,
            "The control socket cannot be made: \(call) \(path): \(String(cString: strerror(reason))).",
            remedy: "Give a path with --socket whose directory exists and is this user's to write.")
    }
}
