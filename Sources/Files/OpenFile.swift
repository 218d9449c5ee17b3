import Glibc
import Core

/// An open file; closed when the last reference goes.
///
/// Sendable because it holds only a descriptor that never changes: `pread` and `pwrite` take their own offsets.
package final class OpenFile: Sendable {
    /// The name of the file in messages.
    package let path: String
    private let descriptor: Int32

    /// How a file is opened.
    package enum Mode: Sendable {
        /// Read an existing file.
        case read
        /// Make a new file, for reading and writing; an existing one is an error.
        case create
        /// Read and write an existing file, or a new empty one.
        case update
    }

    /// Opens a file, close-on-exec.
    ///
    /// - Parameter name: what messages call it, if not by `path`.
    /// - Throws: `FilesError` with what the system reported.
    package init(_ path: String, _ mode: Mode, named name: String? = nil) throws {
        let flags =
            switch mode {
            case .read: O_RDONLY | O_CLOEXEC
            case .create: O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC
            case .update: O_RDWR | O_CREAT | O_CLOEXEC
            }
        guard let descriptor = SystemCall.retrying({ open(path, flags, 0o644) }) else {
            throw FilesError.system("open", path, errno: errno)
        }
        self.path = name ?? path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Size in bytes.
    ///
    /// - Throws: `FilesError` if it is not a regular file.
    package func size() throws -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FilesError.system("examine", path, errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FilesError(.notAFile, "\(path) is not a regular file", remedy: "Name a regular file.")
        }
        return Int(status.st_size)
    }

    /// Fills `buffer` from the bytes at `offset`.
    ///
    /// - Throws: `FilesError` where the file ends first.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
        guard let base = buffer.baseAddress else { return }
        try transfer("read", buffer.count) { done, most in
            let count = SystemCall.retrying { pread(descriptor, base + done, most, off_t(offset + done)) }
            guard count != 0 else { throw FilesError.damaged(path, "the file ends at byte \(offset + done)") }
            return count
        }
    }

    /// `count` bytes at `offset`. O(count).
    ///
    /// - Throws: `FilesError` where the file ends first.
    package func read(at offset: Int, count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
            try read(
                into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]),
                at: offset)
            initialised = count
        }
    }

    /// Appends all of these bytes at the file's position.
    ///
    /// - Throws: `FilesError`; some of the bytes may have been written.
    package func write(_ bytes: some Collection<UInt8>) throws {
        if try bytes.withContiguousStorageIfAvailable({ try write(UnsafeRawBufferPointer($0)) }) == nil {
            let copy = Array(bytes)
            try copy.withUnsafeBytes { try write($0) }
        }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard let base = bytes.baseAddress else { return }
        try transfer("write", bytes.count) { done, most in
            SystemCall.retrying { Glibc.write(descriptor, base + done, most) }
        }
    }

    /// Writes all of these bytes at `offset`.
    ///
    /// - Throws: `FilesError`; some of the bytes may have been written.
    package func write(_ bytes: [UInt8], at offset: Int) throws {
        try bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            try transfer("write", buffer.count) { done, most in
                SystemCall.retrying { pwrite(descriptor, base + done, most, off_t(offset + done)) }
            }
        }
    }

    /// Repeats a call that may move fewer bytes than asked until `count` are moved.
    ///
    /// - Parameter call: gets the number of bytes already moved and the most to move now, which stays below the limit of
    ///   a single call; returns how many it moved, or nil with `errno`.
    private func transfer(_ operation: String, _ count: Int, _ call: (_ done: Int, _ most: Int) throws -> Int?) throws {
        var done = 0
        while done < count {
            guard let moved = try call(done, min(count - done, 1 << 30)) else {
                throw FilesError.system(operation, path, errno: errno)
            }
            done += moved
        }
    }

    /// Cuts the file off at `size`.
    ///
    /// - Throws: `FilesError`.
    package func truncate(to size: Int) throws {
        guard SystemCall.retrying({ ftruncate(descriptor, off_t(size)) }) != nil else {
            throw FilesError.system("truncate", path, errno: errno)
        }
    }

    /// Waits until what was written is on the disk.
    ///
    /// - Throws: `files.sync_failed`, which is final: a second try may succeed although the data is lost.
    package func sync() throws {
        guard SystemCall.retrying({ fsync(descriptor) }) != nil else { throw FilesError.sync(path, errno: errno) }
    }
}
