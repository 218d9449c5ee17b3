import Core
import Files
import TestSupport
import Testing

/// The bytes of a version 1 .npy file with this header.
func npy(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let length = header.utf8.count
    var bytes: [UInt8] = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]
    bytes += (0..<(version == 1 ? 2 : 4)).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
    return bytes + header.utf8 + data
}

@Suite struct NumPyTests {
    private func open(_ bytes: [UInt8], _ body: (NumPyFile) throws -> Void) throws {
        try withTemporaryDirectory { directory in
            try FileSystem.replace("\(directory)/a.npy", with: bytes)
            try body(try NumPyFile("\(directory)/a.npy"))
        }
    }

    @Test("rows are read by range, and written as NumPy writes them") func roundTrip() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/a.npy"
            try NumPyFile.write(path, (0..<12).map(Float.init), columns: 3)
            let file = try NumPyFile(path)
            #expect(file.rows == 4 && file.columns == 3 && file.element == .float32)
            #expect(try file.floats(1..<3) == [3, 4, 5, 6, 7, 8])
            #expect(try file.floats(2..<2).isEmpty)
            #expect(try file.bytes(0..<1) == [0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40])
            #expect(try FileSystem.read(path, limit: 9999).count == 128 + 48)
            try NumPyFile.write(path, [Int32](-1..<3), columns: 2)
            #expect(try NumPyFile(path).integers() == [-1, 0, 1, 2])
        }
    }

    @Test(
        "every element format widens to Float",
        arguments: [
            ("<f2", [0x00, 0x3c, 0x00, 0xc0] as [UInt8], [1, -2] as [Float]),
            ("<f4", [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0], [1, -2]),
            ("<f8", [0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0], [1, -2]),
            ("<i4", [1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff], [1, -2]),
            ("<i8", [1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [1, -2]),
            ("|u1", [1, 254], [1, 254]),
        ])
    func formats(descr: String, data: [UInt8], values: [Float]) throws {
        for version in [1, 2, 3] as [UInt8] {
            let header = "{'descr': '\(descr)', 'fortran_order': False, 'shape': (2,), }  \n"
            try open(npy(header, data, version: version)) { file in
                let read = try file.floats()
                #expect(read == values)
            }
        }
    }

    @Test("half precision: subnormals, infinity and NaN are exact") func halves() {
        #expect(ElementType.widen(0x0001) == 0x1p-24)
        #expect(ElementType.widen(0x83ff) == -1023 * 0x1p-24)
        #expect(ElementType.widen(0x7bff) == 65504)
        #expect(ElementType.widen(0xfc00) == -.infinity)
        #expect(ElementType.widen(0x7e00).isNaN)
        #expect(ElementType.widen(0x8000).sign == .minus)
    }

    @Test(
        "an array that is not little-endian, row-major and numeric is refused with its reason",
        arguments: [
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }", "files.column_order"),
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1), }", "files.element_type"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1), }", "files.element_type"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 1), }", "files.dimensions"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "files.dimensions"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 1), }", "files.damaged"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", "files.damaged"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999, 4), }", "files.damaged"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 1), }", "files.damaged"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 1), }", "files.damaged"),
            ("{'descr': '<f4', 'shape': (2, 1), }", "files.damaged"),
            ("{'descr': '<f4", "files.damaged"), ("", "files.damaged"), ("{", "files.damaged"),
        ])
    func refused(header: String, code: String) throws {
        let failure = #expect(throws: FilesError.self) {
            try open(npy(header, [UInt8](repeating: 0, count: 8))) { _ in }
        }
        #expect(failure?.code == code)
    }

    @Test("a file truncated anywhere, or with any one byte changed, never crashes the reader") func damaged() throws {
        let whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", [0, 0, 0, 0, 0, 0, 0, 0])
        for length in 0..<whole.count {
            #expect(throws: FilesError.self) { try open(Array(whole[..<length])) { _ in } }
        }
        for place in whole.indices {
            for flip in [0x01, 0x80, 0xff] as [UInt8] {
                var bytes = whole
                bytes[place] ^= flip
                try? open(bytes) { _ = try $0.floats() }
            }
        }
    }
}
