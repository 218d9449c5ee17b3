import Glibc

/// The address of a Unix-domain stream socket.
package struct UnixAddress: Sendable {
    /// Longest path, in bytes: 107 of the 108 in `sun_path`, the last of which ends the string.
    package static let maximumPathLength = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    private let address: sockaddr_un

    /// The address of a path; nil unless the path has 1 to 107 bytes, none of them zero.
    package init?(path: String) {
        guard (1...Self.maximumPathLength).contains(path.utf8.count), !path.utf8.contains(0) else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        self.address = address
    }

    /// What is wrong with a path that has no address, one sentence.
    package static func message(for path: String) -> String {
        "The socket path has \(path.utf8.count) bytes; it may have 1 to \(maximumPathLength): \(path)"
    }

    /// A new stream socket, close-on-exec; −1 with `errno` set if there is none.
    package static func makeSocket(isBlocking: Bool = true) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        return socket(AF_UNIX, isBlocking ? type : type | Int32(SOCK_NONBLOCK.rawValue), 0)
    }

    /// `connect(2)`: 0, or −1 with `errno` set.
    package func connect(_ descriptor: Int32) -> Int32 { call { Glibc.connect(descriptor, $0, $1) } }

    /// `bind(2)`: 0, or −1 with `errno` set.
    package func bind(_ descriptor: Int32) -> Int32 { call { Glibc.bind(descriptor, $0, $1) } }

    private func call(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}
