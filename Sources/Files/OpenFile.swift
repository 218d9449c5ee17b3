import Glibc
import Core

/// Calls until the answer is not EINTR: the one place where interrupted system calls are repeated.
///
/// - Returns: the call's result, or nil and `errno` is as the call left it.
func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result? {
    while true {
        let result = call()
        if result != -1 { return result }
        if errno != EINTR { return nil }
    }
}

/// An open file; closed when the last reference goes.
///
/// Sendable because it holds only a descriptor that never changes: `pread` and `pwrite` take their own offsets.
package final class OpenFile: Sendable {
    /// Path it was opened by, for messages.
    package let path: String
    private let descriptor: Int32

    /// How a file is opened.
    package enum Mode: Sendable {
        /// Read what is there.
        case read
        /// Make a new file for writing; one that is there already is an error.
        case create
        /// Read and write what is there, made empty if it is not.
        case update
    }

    /// Opens a file, close-on-exec.
    ///
    /// - Throws: `FilesFailure` with what the system said.
    package init(_ path: String, _ mode: Mode) throws {
        let flags =
            switch mode {
            case .read: O_RDONLY | O_CLOEXEC
            case .create: O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
            case .update: O_RDWR | O_CREAT | O_CLOEXEC
            }
        guard let descriptor = retrying({ open(path, flags, 0o644) }) else {
            throw FilesFailure.system("open", path, errno: errno)
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Size in bytes.
    ///
    /// - Throws: `FilesFailure` if it is not a regular file.
    package func size() throws -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FilesFailure.system("examine", path, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FilesFailure("not_a_file", .invalid, "\(path) is not a regular file", remedy: "Name a regular file.")
        }
        return Int(status.st_size)
    }

    /// Fills `buffer` from the bytes at `offset`.
    ///
    /// - Throws: `FilesFailure` where the file ends first.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
        guard let base = buffer.baseAddress else { return }
        var done = 0
        while done < buffer.count {
            let part = min(buffer.count - done, 1 << 30)
            guard let count = retrying({ pread(descriptor, base + done, part, off_t(offset + done)) }) else {
                throw FilesFailure.system("read", path, errno: errno)
            }
            guard count > 0 else { throw FilesFailure.damaged(path, "the file ends at byte \(offset + done)") }
            done += count
        }
    }

    /// `count` bytes at `offset`. O(count).
    ///
    /// - Throws: `FilesFailure` where the file ends first.
    package func read(at offset: Int, count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
            try read(
                into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]),
                at: offset)
            initialised = count
        }
    }

    /// Appends all of these bytes at the file's position.
    package func write(_ bytes: some Collection<UInt8>) throws {
        if try bytes.withContiguousStorageIfAvailable({ try write(UnsafeRawBufferPointer($0)) }) == nil {
            let copy = Array(bytes)
            try copy.withUnsafeBytes { try write($0) }
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard let base = bytes.baseAddress else { return }
        var done = 0
        while done < bytes.count {
            let part = min(bytes.count - done, 1 << 30)
            guard let count = retrying({ Glibc.write(descriptor, base + done, part) }) else {
                throw FilesFailure.system("write", path, errno: errno)
            }
            done += count
        }
    }

    /// Writes all of these bytes at `offset`.
    package func write(_ bytes: [UInt8], at offset: Int) throws {
        try bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            var done = 0
            while done < buffer.count {
                let part = min(buffer.count - done, 1 << 30)
                guard let count = retrying({ pwrite(descriptor, base + done, part, off_t(offset + done)) }) else {
                    throw FilesFailure.system("write", path, errno: errno)
                }
                done += count
            }
        }
    }

    /// Cuts the file off at `size`.
    package func truncate(to size: Int) throws {
        guard retrying({ ftruncate(descriptor, off_t(size)) }) != nil else {
            throw FilesFailure.system("truncate", path, errno: errno)
        }
    }

    /// Waits until what was written is on the disk. A failure is final: it must not be tried again.
    package func sync() throws {
        guard retrying({ fsync(descriptor) }) != nil else { throw FilesFailure.sync(path, errno: errno) }
    }
}
