/// A NumPy array file (.npy, versions 1 to 3), little-endian and stored row by row, read by ranges of rows.
///
/// An array of one dimension counts as one column. Reading is by `pread`, so a file that is truncated while it is open
/// gives an error, not a signal.
package final class NumPyFile: Sendable {
    /// Format of the elements.
    package let element: ElementType
    /// How many rows there are.
    package let rows: Int
    /// How many elements a row has.
    package let columns: Int
    private let file: OpenFile
    private let start: Int

    /// Path of the file, for messages.
    package var path: String { file.path }

    /// Opens a file and checks its header against its size.
    ///
    /// - Throws: `FilesError` if it is not a .npy file or is damaged, or if its array is big-endian, stored column by
    ///   column, of an element format that is not supported, or has neither one nor two dimensions.
    package init(_ path: String) throws {
        let file = try OpenFile(path, .read)
        let size = try file.size()
        guard size >= 10 else { throw FilesError.damaged(path, "too short for a .npy file") }
        let lead = try file.read(at: 0, count: min(12, size))
        guard Array(lead[..<6]) == [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] else {
            throw FilesError.damaged(path, "not a .npy file: the first bytes are not \\x93NUMPY")
        }
        var reader = ByteReader(lead, at: 8)
        // Version 1 has two bytes for the length of the header, later ones four.
        let announced =
            lead[6] == 1 ? reader.number(UInt16.self).map(Int.init) : reader.number(UInt32.self).map(Int.init)
        guard (1...3).contains(lead[6]), let length = announced else {
            throw FilesError.damaged(path, "unknown .npy version \(lead[6]).\(lead[7])")
        }
        let begin = reader.position
        guard length <= 1 << 20, length <= size - begin else {
            throw FilesError.damaged(path, "its header announces \(length) bytes")
        }
        let header = try NumPyHeader(try file.read(at: begin, count: length), path: path)
        let (elements, overflow) = header.rows.multipliedReportingOverflow(by: header.columns)
        let (bytes, overflow2) = elements.multipliedReportingOverflow(by: header.element.size)
        guard !overflow, !overflow2, bytes == size - begin - length else {
            throw FilesError.damaged(
                path,
                "\(header.rows) × \(header.columns) elements of \(header.element.size) bytes do not fill "
                    + "\(size - begin - length) bytes")
        }
        self.file = file
        self.element = header.element
        self.rows = header.rows
        self.columns = header.columns
        self.start = begin + length
    }

    /// The elements of these rows as Float, (rows of the range, `columns`), row-major. O(elements).
    ///
    /// - Throws: `FilesError`.
    /// - Precondition: the range is within `0..<rows`.
    package func floats(_ range: Range<Int>) throws -> [Float] {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows out of range")
        guard element == .float32 else { return element.floats(try bytes(range)[...]) }
        let count = range.count * columns
        return try [Float](unsafeUninitializedCapacity: count) { buffer, initialised in
            let target = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
            try file.read(into: target, at: start + range.lowerBound * columns * 4)
            initialised = count
        }
    }

    /// All elements as Float, (`rows`, `columns`), row-major. O(elements).
    ///
    /// - Throws: `FilesError`.
    package func floats() throws -> [Float] { try floats(0..<rows) }

    /// The bytes of these rows as they are in the file. O(bytes).
    ///
    /// - Precondition: the range is within `0..<rows`.
    /// - Throws: `FilesError`.
    package func bytes(_ range: Range<Int>) throws -> [UInt8] {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows out of range")
        let row = columns * element.size
        return try file.read(at: start + range.lowerBound * row, count: range.count * row)
    }

    /// All elements as integers, (`rows`, `columns`), row-major. O(elements).
    ///
    /// - Throws: `FilesError` if the elements are not integers.
    package func integers() throws -> [Int] {
        guard let values = element.integers(try bytes(0..<rows)[...]) else {
            throw FilesError.damaged(path, "its elements are \(element.rawValue), not integers")
        }
        return values
    }
}

// MARK: - Writing

extension NumPyFile {
    /// Writes a (rows, `columns`) array of float32 at `path`, replacing what is there, durably.
    ///
    /// - Precondition: the values fill whole rows.
    /// - Throws: `FilesError`.
    package static func write(_ path: String, _ values: [Float], columns: Int) throws {
        try FileSystem.replace(path, with: image("<f4", count: values.count, columns, [UInt8](littleEndian: values)))
    }

    /// Writes a (rows, `columns`) array of int32 at `path`, replacing what is there, durably.
    ///
    /// - Precondition: the values fill whole rows.
    /// - Throws: `FilesError`.
    package static func write(_ path: String, _ values: [Int32], columns: Int) throws {
        try FileSystem.replace(path, with: image("<i4", count: values.count, columns, [UInt8](littleEndian: values)))
    }

    private static func image(_ descr: String, count: Int, _ columns: Int, _ data: [UInt8]) -> [UInt8] {
        precondition(columns > 0 && count % columns == 0, "the values do not fill rows")
        var header = "{'descr': '\(descr)', 'fortran_order': False, 'shape': (\(count / columns), \(columns)), }"
        // Magic, version and length take 10 bytes; with the header they fill a multiple of 64 and end with a newline.
        while (header.utf8.count + 11) % 64 != 0 { header += " " }
        header += "\n"
        let length = header.utf8.count
        var bytes: [UInt8] = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, UInt8(length & 255), UInt8(length >> 8)]
        bytes.reserveCapacity(10 + length + data.count)
        bytes += header.utf8
        bytes += data
        return bytes
    }
}
