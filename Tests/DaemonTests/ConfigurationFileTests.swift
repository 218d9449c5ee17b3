import ControlServer
import Logging
import Testing
import Core

@testable import Daemon

@Suite("ConfigurationFile")
struct ConfigurationFileTests {
    @Test func `every name is read`() throws {
        let file = try ConfigurationFile(
            yaml: """
                # where things are
                catalog: /srv/catalog
                state: /var/lib/letter
                socket: /run/letter/s.sock
                socket_mode: "0660"
                writers: [1000, 0x3e9]
                poll_interval: 20
                readers: 3
                log_level: debug
                collision_policy: suffix
                on_edit: reassign
                tombstone_reuse_after: 90d
                """, path: "f.yaml")
        var expected = ConfigurationFile()
        expected.catalog = "/srv/catalog"
        expected.state = "/var/lib/letter"
        expected.socket = "/run/letter/s.sock"
        expected.socketAccess = .group
        expected.writers = [1000, 1001]
        expected.pollInterval = 20
        expected.readers = 3
        expected.logLevel = .debug
        expected.collisionPolicy = .suffix
        expected.rules.onEdit = .reassign
        expected.rules.tombstoneReuse = 90 * 86_400_000
        #expect(file == expected)
    }

    @Test func `an empty file sets nothing`() throws {
        #expect(try ConfigurationFile(yaml: "# nothing\n", path: "f") == ConfigurationFile())
        #expect(try ConfigurationFile(yaml: "", path: "f") == ConfigurationFile())
        #expect(try ConfigurationFile(yaml: "socket_mode: 0660", path: "f").socketAccess == .group)
        #expect(try ConfigurationFile(yaml: "tombstone_reuse_after: never", path: "f") == ConfigurationFile())
    }

    @Test(arguments: [
        "catlog: /srv/catalog", "poll_interval: 0", "poll_interval: soon", "readers: 1000", "log_level: loud",
        "collision_policy: renumber", "on_edit: [keep]", "tombstone_reuse_after: 90", "tombstone_reuse_after: 0d",
        "tombstone_reuse_after: -1d", "tombstone_reuse_after: soon", "- a list", "catalog: [a, b]", "a: b: c",
        "state: ''", "socket_mode: 0666", "writers: 1000", "writers: [root]", "writers: [-1]",
    ])
    func `what cannot be meant is refused with its line`(yaml: String) throws {
        let error = #expect(throws: DaemonError.self) { try ConfigurationFile(yaml: yaml, path: "f.yaml") }
        #expect(error?.code == "daemon.bad_configuration")
        #expect(error?.kind.exitCode == 78)
        #expect(error?.message.contains("f.yaml") == true)
    }
}
