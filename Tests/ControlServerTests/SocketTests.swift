import ControlAPI
import ControlClient
import ControlServer
import Core
import Foundation
import Glibc
import Logging
import TestSupport
import Testing

@Suite(.serialized) struct SocketTests {
    private func server(_ path: String, service: MemoryService = MemoryService()) throws -> ControlServer {
        ControlServer(
            socket: try ControlSocket(path: path), service: service, logger: .silent)
    }

    private func mode(_ path: String) throws -> UInt32 {
        var information = stat()
        #expect(lstat(path, &information) == 0)
        return information.st_mode & 0o777
    }

    @Test func `The socket is the owner's alone from the start, whatever the umask`() async throws {
        let directory = TemporaryDirectory()
        let previous = umask(0)
        defer { umask(previous) }
        let socket = try ControlSocket(path: directory.socket)
        #expect(try mode(directory.socket) == 0o600)
        // The umask is restored; other tests bind meanwhile, so that may take a moment.
        try await until {
            (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8).contains("Umask:\t0000")) == true
        }
        socket.close()
        #expect(access(directory.socket, F_OK) != 0)
    }

    @Test func `The group may connect only if that is configured`() throws {
        let directory = TemporaryDirectory()
        let socket = try ControlSocket(path: directory.socket, access: .group)
        #expect(try mode(directory.socket) == 0o660)
        socket.close()
    }

    @Test func `A second daemon is refused and does no harm`() async throws {
        let directory = TemporaryDirectory()
        let first = try server(directory.socket)
        let run = Task { try await first.run() }
        let failure = #expect(throws: ControlSocketError.self) { try ControlSocket(path: directory.socket) }
        #expect(failure?.code == "control.already_running" && failure?.kind == .conflict)
        try await until { (try? RawClient(directory.socket)) != nil }
        try #expect(await ControlClient(path: directory.socket).status().items == 100)
        run.cancel()
        try await run.value
        _ = try ControlSocket(path: directory.socket)
    }

    /// Binds a socket there and leaves it, as a killed daemon does.
    private func leaveSocket(_ path: String, listening: Bool) -> Int32 {
        let descriptor = UnixAddress.makeSocket()
        #expect(UnixAddress(path: path)?.bind(descriptor) == 0)
        if listening { listen(descriptor, 1) }
        return descriptor
    }

    @Test func `The socket of a dead daemon is replaced`() async throws {
        let directory = TemporaryDirectory()
        close(leaveSocket(directory.socket, listening: true))
        let server = try server(directory.socket)
        let run = Task { try await server.run() }
        try await until { (try? RawClient(directory.socket)) != nil }
        run.cancel()
        try await run.value
    }

    @Test func `The socket of another server is left alone`() throws {
        let directory = TemporaryDirectory()
        let other = leaveSocket(directory.socket, listening: true)
        defer { close(other) }
        let failure = #expect(throws: ControlSocketError.self) { try ControlSocket(path: directory.socket) }
        #expect(failure?.code == "control.already_running")
        #expect(access(directory.socket, F_OK) == 0)
    }

    @Test func `A file or link in the socket's place is left alone`() throws {
        let directory = TemporaryDirectory()
        try Data("precious".utf8).write(to: URL(filePath: directory.socket))
        let failure = #expect(throws: ControlSocketError.self) { try ControlSocket(path: directory.socket) }
        #expect(failure?.code == "control.socket_path_taken")
        #expect(try Data(contentsOf: URL(filePath: directory.socket)) == Data("precious".utf8))
        let link = directory.path + "/l"
        symlink(directory.socket, link)
        #expect(throws: ControlSocketError.self) { try ControlSocket(path: link) }
        symlink(directory.socket, directory.path + "/m.lock")
        #expect(throws: ControlSocketError.self) { try ControlSocket(path: directory.path + "/m") }
    }

    @Test func `A path that is too long is a clear error in server and client`() async throws {
        let directory = TemporaryDirectory()
        let prefix = directory.path + "/"
        let longest = prefix + String(repeating: "x", count: 107 - prefix.utf8.count)
        let socket = try ControlSocket(path: longest)
        socket.close()
        let failure = #expect(throws: ControlSocketError.self) { try ControlSocket(path: longest + "x") }
        #expect(failure?.code == "control.socket_path_too_long" && failure?.message.contains("108") == true)
        #expect(failure?.kind == .configuration)
        let client = await #expect(throws: ControlError.self) {
            try await ControlClient(path: longest + "x").status()
        }
        #expect(client?.code == "control.socket_path_too_long" && client?.kind == .usage)
    }

    @Test func `The absence of a daemon is distinguished from other failures`() async throws {
        let directory = TemporaryDirectory()
        let missing = await #expect(throws: ControlError.self) {
            try await ControlClient(path: directory.socket).status()
        }
        #expect(missing?.kind == .notRunning && missing?.kind.exitCode == 3)
        close(leaveSocket(directory.socket, listening: true))
        let dead = await #expect(throws: ControlError.self) {
            try await ControlClient(path: directory.socket).status()
        }
        #expect(dead?.kind == .notRunning)
    }

    @Test func `A client outlives a restart of the daemon`() async throws {
        let directory = TemporaryDirectory()
        let client = ControlClient(path: directory.socket)
        for _ in 0..<2 {
            let server = try server(directory.socket)
            let run = Task { try await server.run() }
            try await until { (try? RawClient(directory.socket)) != nil }
            try #expect(await client.status().items == 100)
            run.cancel()
            try await run.value
        }
    }

    @Test func `A shutdown lets requests finish and accepts no others`() async throws {
        let directory = TemporaryDirectory()
        let server = try server(directory.socket)
        let run = Task { try await server.run() }
        try await until { (try? RawClient(directory.socket)) != nil }
        let waiting = Task { try await ControlClient(path: directory.socket).waitCaughtUp(timeoutSeconds: 1.2) }
        let idle = try await onThread { Unchecked(try RawClient(directory.socket)) }
        try await Task.sleep(for: .milliseconds(200))
        let begin = ContinuousClock.now
        server.shutDown()
        try #expect(await waiting.value.items == 100)
        try await run.value
        #expect(ContinuousClock.now - begin < .seconds(4))
        try #expect(await onThread { idle.value.answer() == nil })
        let late = await #expect(throws: ControlError.self) {
            try await ControlClient(path: directory.socket).status()
        }
        #expect(late?.kind == .notRunning)
    }

    @Test func `A shutdown does not wait for ever`() async throws {
        let directory = TemporaryDirectory()
        let server = try server(directory.socket)
        let run = Task { try await server.run() }
        try await until { (try? RawClient(directory.socket)) != nil }
        let waiting = Task { try await ControlClient(path: directory.socket).waitCaughtUp(timeoutSeconds: 1000) }
        try await Task.sleep(for: .milliseconds(200))
        let begin = ContinuousClock.now
        server.shutDown()
        try await run.value
        #expect(ContinuousClock.now - begin < .seconds(4))
        await #expect(throws: ControlError.self) { try await waiting.value }
    }
}
