import Glibc

/// The path of the control socket when no option names it; the daemon and its command line must agree on it.
package enum SocketPath {
    /// `LETTER_SOCKET` if it is set, else `letter/letterd.sock` in the user's runtime folder (`XDG_RUNTIME_DIR`), else
    /// `/run/letter/letterd.sock`, which is also root's.
    package static var standard: String {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        if let path = variable("LETTER_SOCKET") { return path }
        if geteuid() != 0, let folder = variable("XDG_RUNTIME_DIR") { return folder + "/letter/letterd.sock" }
        return "/run/letter/letterd.sock"
    }
}
