import Foundation
import TestSupport
import Testing

/// Who may connect to the daemon, who may change things, and how large a model may be.
@Suite("Access, end to end", .serialized, .timeLimit(.minutes(10)))
struct AccessTests {
    /// One request to the socket as user and group of another process; the status and the body.
    private func request(_ site: Site, _ method: String, _ target: String, uid: Int, gid: Int) async throws -> String {
        let script = """
            import socket, sys
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(sys.argv[1])
            except PermissionError:
                sys.exit("denied")
            connection.sendall((sys.argv[2] + " HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\ncontent-length: 0\\r\\n\\r\\n").encode())
            answer = b""
            while more := connection.recv(65536):
                answer += more
            print(answer.decode())
            """
        let result = try await Site.run(
            "/usr/bin/setpriv",
            [
                "--reuid=\(uid)", "--regid=\(gid)", "--clear-groups", "/usr/bin/python3", "-c", script, site.socket,
                "\(method) \(target)",
            ])
        return result.status == 0 ? result.output : result.errors
    }

    private func start(_ site: Site, _ lines: String...) async throws {
        let file = site.folder["letterd.yaml"]
        try lines.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
        try await site.start("--config", file)
    }

    @Test(.enabled(if: geteuid() == 0, "only root can run processes as other users"))
    func `another user is kept out, then may read, then may change things, as configured`() async throws {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "4")
        let (uid, gid) = (54_321, Int(getegid()))

        try await start(site)
        #expect(try await request(site, "GET", "/v1/status", uid: uid, gid: gid).contains("denied"))
        try await site.stop()

        try await start(site, "socket_mode: 0660")
        #expect(try await request(site, "GET", "/v1/status", uid: uid, gid: gid).contains("200 OK"))
        // Not of the socket's group.
        #expect(try await request(site, "GET", "/v1/status", uid: uid, gid: gid + 54_321).contains("denied"))
        let refused = try await request(site, "POST", "/v1/catalog/confirm", uid: uid, gid: gid)
        #expect(refused.contains("403 Forbidden") && refused.contains("control.permission_denied"), "\(refused)")
        #expect(site.logText.contains("uid \(uid)"), "the log has who tried: \(site.logText)")
        try await site.stop()

        try await start(site, "socket_mode: 0660", "writers: [\(uid)]")
        let allowed = try await request(site, "POST", "/v1/catalog/confirm", uid: uid, gid: gid)
        // There is nothing to confirm, but the user may do it.
        #expect(allowed.contains("409 Conflict") && allowed.contains("daemon.nothing_held"), "\(allowed)")
        try await site.stop()
    }

    @Test func `a model that is too large is refused before it is sent, one at the limit is not`() async throws {
        let site = Site()
        let model = site.folder["model"]
        try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
        try "{}".write(toFile: model + "/manifest.json", atomically: true, encoding: .utf8)
        let weights = model + "/tokenizer.safetensors"
        _ = FileManager.default.createFile(atPath: weights, contents: nil)
        // A sparse file takes no space. No daemon runs: the size is checked first.
        for (size, status, code) in [
            ((4 << 30) + 1, 64, "control.body_too_large"), (4 << 30, 3, "control.not_running"),
        ] {
            #expect(truncate(weights, size) == 0)
            let result = try await site.letter("generation", "publish", model, "--json")
            #expect(result.status == Int32(status) && result.errors.contains(code), "\(size) bytes: \(result.errors)")
        }
    }
}
