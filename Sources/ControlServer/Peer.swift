import CLinux
import Glibc
import NIOCore

/// Who is at the other end of a connection, as the kernel says (SO_PEERCRED).
package struct Peer: Sendable, Hashable, CustomStringConvertible {
    package let pid: Int32
    package let uid: UInt32
    package let gid: UInt32

    package init(pid: Int32, uid: UInt32, gid: UInt32) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
    }

    /// The peer of a channel; nil if the kernel does not say. Call on the channel's event loop.
    init?(of channel: any Channel) {
        var pid: pid_t = 0
        var uid: uid_t = 0
        var gid: gid_t = 0
        let result = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: CInt.self) { descriptor in
            letter_peer_credentials(descriptor, &pid, &uid, &gid)
        }
        guard result == 0 else { return nil }
        self.init(pid: pid, uid: uid, gid: gid)
    }

    package var description: String { "pid \(pid), uid \(uid), gid \(gid)" }
}

/// One call of a verb that changes something, allowed or not.
package struct AuditEntry: Sendable {
    /// Such as `POST /v1/generations/7/promote`.
    package let verb: String
    package let peer: Peer
    package let allowed: Bool
}
