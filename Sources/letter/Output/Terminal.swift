import Files
import Core
import Glibc

/// Standard output and standard error of this process.
enum Terminal {
    /// Whether standard error is a terminal, so that progress may be drawn on it.
    static let errorIsTerminal = isatty(STDERR_FILENO) == 1

    /// Width in columns of the terminal that is standard output; nil if it is not a terminal, so that nothing is cut.
    static let width: Int? = {
        guard isatty(STDOUT_FILENO) == 1 else { return nil }
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 20 else { return 80 }
        return Int(size.ws_col)
    }()

    /// Writes bytes to standard output. If its reader is gone, SIGPIPE ends the process, as it does other programs.
    static func write(_ bytes: some Collection<UInt8>) { write(bytes, to: STDOUT_FILENO) }

    /// Writes a line to standard output.
    static func line(_ text: String) { write(Array((text + "\n").utf8), to: STDOUT_FILENO) }

    /// Writes to standard error.
    static func error(_ text: String) { write(Array(text.utf8), to: STDERR_FILENO) }

    private static func write(_ bytes: some Collection<UInt8>, to descriptor: Int32) {
        let bytes = ContiguousArray(bytes)
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                SystemCall.retrying {
                    Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), buffer.count - written)
                }
            }
            guard let count, count > 0 else {
                // The disk behind standard output is full: ending with status 0 would pass half an answer for a whole one.
                if descriptor == STDOUT_FILENO { Glibc.exit(FailureKind.unavailable.exitCode) }
                return
            }
            written += count
        }
    }
}
