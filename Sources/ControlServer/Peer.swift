import CLinux
import NIOCore

/// The process at the other end of a connection, as the kernel reports it (SO_PEERCRED).
struct Peer: Sendable, Hashable, CustomStringConvertible {
    let pid: Int32
    let uid: UInt32
    let gid: UInt32

    /// A peer without rights, for a connection whose peer the kernel does not report.
    static let unknown = Peer(pid: 0, uid: .max, gid: .max)

    private init(pid: Int32, uid: UInt32, gid: UInt32) {
        self.pid = pid
        self.uid = uid
        self.gid = gid
    }

    /// The peer of a channel; nil if the kernel does not report it. Call on the channel's event loop.
    init?(of channel: any Channel) {
        var (pid, uid, gid): (Int32, UInt32, UInt32) = (0, 0, 0)
        let result = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: CInt.self) { descriptor in
            letter_peer_credentials(descriptor, &pid, &uid, &gid)
        }
        guard result == 0 else { return nil }
        self.init(pid: pid, uid: uid, gid: gid)
    }

    var description: String { "pid \(pid), uid \(uid), gid \(gid)" }
}
