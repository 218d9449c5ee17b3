import ControlAPI
import Core
import Glibc
import Synchronization

/// The Unix socket of the daemon: locked, bound and private, not yet listening.
///
/// Its owner is the only daemon at that path: it holds a lock on `<path>.lock`, which the kernel releases when the
/// process ends. Bind the socket first, then open the state directory, and serve last.
package final class ControlSocket: Sendable {
    /// Who may connect. Every user who can connect may read; see `ControlServer.init` for who may change things.
    package enum Access: String, Sendable, CaseIterable {
        /// The daemon's user, and root.
        case owner = "0600"
        /// Also the members of the socket's group.
        case group = "0660"

        var mode: mode_t { self == .owner ? 0o600 : 0o660 }
    }

    /// Path of the socket.
    package let path: String

    private struct Descriptors {
        var lock: Int32
        var socket: Int32?
        var isOpen = true
    }
    private let descriptors: Mutex<Descriptors>

    /// Locks and binds `path`. Makes its directory (0750) if only that is missing, and replaces the socket that a
    /// killed daemon left.
    ///
    /// The socket has its mode before anyone can connect: the umask covers the bind, and the socket listens only later.
    /// The umask belongs to the process, so call this before other threads create files.
    ///
    /// - Throws: `ControlSocketError`: `control.socket_path_too_long`, `control.already_running`,
    ///   `control.socket_path_taken` or `control.socket_failed`.
    package init(path: String, access: Access = .owner) throws {
        guard let address = UnixAddress(path: path) else {
            throw ControlSocketError(
                .pathTooLong, UnixAddress.message(for: path), remedy: "Choose a shorter path with --socket.")
        }
        let parent = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        if !parent.isEmpty { _ = mkdir(parent, 0o750) }

        let lock = try Self.lock(path)
        do {
            try Self.removeStale(path, address)
            let socket = try Self.bind(path, address, access)
            self.path = path
            descriptors = Mutex(Descriptors(lock: lock, socket: socket))
        } catch {
            Glibc.close(lock)
            throw error
        }
    }

    deinit { close() }

    /// Hands over the bound descriptor, once; the caller closes it.
    func takeDescriptor() throws -> Int32 {
        try descriptors.withLock {
            guard let socket = $0.socket else {
                throw ControlSocketError(
                    .used, "The control socket already has a server.", remedy: "Bind another one.")
            }
            $0.socket = nil
            return socket
        }
    }

    /// Removes the socket and releases the lock. The lock's file stays: removing it would race with the next owner.
    package func close() {
        descriptors.withLock {
            guard $0.isOpen else { return }
            $0.isOpen = false
            unlink(path)
            if let socket = $0.socket { Glibc.close(socket) }
            $0.socket = nil
            // A child that another thread has just forked still holds the descriptor until it executes its program.
            flock($0.lock, LOCK_UN)
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

    private static func alreadyRunning(_ path: String) -> ControlSocketError {
        ControlSocketError(
            .alreadyRunning, "Another daemon serves the socket \(path).",
            remedy: "Stop it first, or give this one another --socket and --state.")
    }

    /// Removes a socket that no process serves. While this process holds the lock no daemon can be about to bind it.
    private static func removeStale(_ path: String, _ address: UnixAddress) throws {
        var information = stat()
        guard lstat(path, &information) == 0 else {
            if errno == ENOENT { return }
            throw failed("lstat", path, errno)
        }
        guard information.st_mode & S_IFMT == S_IFSOCK else {
            throw ControlSocketError(
                .pathTaken, "\(path) exists and is not a socket.",
                remedy: "Move it away, or choose another path with --socket.")
        }
        let probe = UnixAddress.makeSocket()
        guard probe >= 0 else { throw failed("socket", path, errno) }
        defer { Glibc.close(probe) }
        // A server that does not hold our lock is not a letterd; its socket must stay.
        if address.connect(probe) == 0 { throw alreadyRunning(path) }
        guard errno == ECONNREFUSED else { throw failed("connect", path, errno) }
        guard unlink(path) == 0 || errno == ENOENT else { throw failed("unlink", path, errno) }
    }

    /// The umask belongs to the process: two sockets bound at once would each save the other's.
    private static let umaskLock = Mutex(())

    private static func bind(_ path: String, _ address: UnixAddress, _ access: Access) throws -> Int32 {
        let descriptor = UnixAddress.makeSocket(isBlocking: false)
        guard descriptor >= 0 else { throw failed("socket", path, errno) }
        let (result, reason) = umaskLock.withLock { _ in
            let previous = umask(0o777 & ~access.mode)
            defer { umask(previous) }
            return (address.bind(descriptor), errno)
        }
        guard result == 0 else {
            Glibc.close(descriptor)
            throw failed("bind", path, reason)
        }
        return descriptor
    }

    private static func retrying(_ call: () -> Int32) -> Int32 {
        while true {
            let result = call()
            if result != -1 || errno != EINTR { return result }
        }
    }

    private static func failed(_ call: String, _ path: String, _ reason: Int32) -> ControlSocketError {
        ControlSocketError(
            reason == EACCES || reason == EPERM ? .forbidden : .failed,
            "The control socket cannot be created: \(call) \(path): \(String(cString: strerror(reason))).",
            remedy: "Give a path with --socket whose directory exists and is writable for this user.")
    }
}
