import Catalog
import CLinux
import Files
import Glibc
import Synchronization
import Core

/// Verifies the catalog in a child process, because reading a corrupt LMDB file can crash the reader.
///
/// The child is this program again, with arguments of its own, and dies with the daemon. No shell is involved.
struct CatalogVerifier: Sendable {
    let path: String
    /// Its thread starts the child and waits for it; the child is killed when that thread ends, so it never does.
    private let pool = BlockingPool(name: "verify", threads: 1)

    init(path: String) { self.path = path }

    /// Returns when the catalog was found sound.
    ///
    /// - Throws: `CatalogError`: `damaged`, also where the child was ended by a signal; what opening it throws.
    ///   `CancellationError`, the child killed then.
    func verify() async throws {
        let child = Child()
        let ended = try await withTaskCancellationHandler {
            try await pool.run { try child.run([VerifyCatalog.verb, path]) }
        } onCancel: {
            child.kill()
        }
        try Task.checkCancellation()
        switch ended.signal {
        case 0: break
        case SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP: throw CatalogError.ends(path, signal: ended.signal)
        default:
            throw CatalogError(
                .busy, "The verification of the catalog \(path) was ended by signal \(ended.signal).",
                remedy: "It is retried automatically; if the machine is short of memory, free some.")
        }
        let fields = ended.output.split(separator: 0, omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        if ended.status == 0, fields.first == VerifyCatalog.sound { return }
        guard fields.count == 3, let reason = CatalogReason(rawValue: fields[0]) else {
            throw CatalogError(
                .busy, "The verification of the catalog \(path) could not be run (exit status \(ended.status)).",
                remedy: "It is retried automatically; check that letterd's own file is still where it was started.")
        }
        throw CatalogError(reason, fields[1], remedy: fields[2])
    }

    /// Identifies a file's content without reading it: while the stamp stays the same, the file was not changed.
    struct Stamp: Hashable {
        private var numbers: [Int] = []

        init(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return }
            numbers = [
                Int(bitPattern: UInt(status.st_dev)), Int(bitPattern: UInt(status.st_ino)), Int(status.st_size),
                status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec,
            ]
        }
    }
}

/// The child's work.
package enum VerifyCatalog {
    /// The first argument that makes letterd do this and nothing else.
    package static let verb = "verify-catalog"
    static let sound = "sound"

    /// Verifies a catalog and writes the result to standard output. Returns the exit status.
    package static func run(_ path: String) -> Int32 {
        var answer = sound
        var status: Int32 = 0
        do {
            _ = try CatalogVerification.verify(path: path)
        } catch let error as CatalogError {
            answer = [error.reason.rawValue, error.message, error.remedy].joined(separator: "\0")
            status = 1
        } catch {
            return 2
        }
        let bytes = Array(answer.utf8)
        return write(STDOUT_FILENO, bytes, bytes.count) == bytes.count ? status : 2
    }
}

/// A child process that runs this program with other arguments.
private final class Child: Sendable {
    private enum State {
        case notStarted, running(pid_t), ended
    }
    private let state = Mutex(State.notStarted)

    /// How it ended: with a status or by a signal, and the first 64 KiB that it wrote.
    struct Ended {
        var status: Int32
        var signal: Int32
        var output: [UInt8]
    }

    /// Starts it and waits for its end on the caller's thread.
    func run(_ arguments: [String]) throws -> Ended {
        var strings = (["letterd"] + arguments).map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        var output: Int32 = -1
        let child = try state.withLock { state in
            guard case .notStarted = state else { throw CancellationError() }
            let child = letter_start_child("/proc/self/exe", &strings, environ, &output)
            guard child > 0 else {
                throw CatalogError(
                    .busy, "A process to verify the catalog cannot be started: \(String(cString: strerror(errno))).",
                    remedy: "It is retried automatically; free some memory or raise the limit on processes.")
            }
            state = .running(child)
            return child
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = SystemCall.retrying { read(output, &buffer, buffer.count) }
            guard let count, count > 0, bytes.count < 65_536 else { break }
            bytes += buffer[..<count]
        }
        close(output)
        return state.withLock { state in
            var status: Int32 = 0
            _ = SystemCall.retrying { waitpid(child, &status, 0) }
            state = .ended
            return Ended(status: (status >> 8) & 0xFF, signal: status & 0x7F, output: bytes)
        }
    }

    /// Kills it, or keeps it from starting.
    func kill() {
        state.withLock { state in
            switch state {
            case .notStarted: state = .ended
            case .running(let child): _ = Glibc.kill(child, SIGKILL)
            case .ended: break
            }
        }
    }
}
