import Files
import Glibc
import TestSupport
import Testing

@Suite struct BytesTests {
    @Test("numbers are little-endian") func littleEndian() {
        var writer = ByteWriter()
        writer.append(UInt32(0x0403_0201))
        writer.append(Int16(-2))
        writer.append(contentsOf: [7])
        #expect(writer.bytes == [1, 2, 3, 4, 0xfe, 0xff, 7])
    }

    @Test("numbers and bytes that are written in any order are read back", arguments: [UInt64(1), 2, 3])
    func roundTrip(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var writer = ByteWriter(capacity: 16)
        var expected: [(kind: Int, value: UInt64, bytes: [UInt8])] = []
        for _ in 0..<200 {
            let (kind, value) = (Int.random(in: 0..<5, using: &random), random.next())
            let bytes = kind == 4 ? random.bytes(0...20) : []
            expected.append((kind, value, bytes))
            switch kind {
            case 0: writer.append(UInt8(truncatingIfNeeded: value))
            case 1: writer.append(UInt16(truncatingIfNeeded: value))
            case 2: writer.append(UInt32(truncatingIfNeeded: value))
            case 3: writer.append(Int64(bitPattern: value))
            default: writer.append(contentsOf: bytes)
            }
        }
        // Also from the middle of an array, at any alignment.
        let padding = Int(seed)
        var reader = ByteReader(([UInt8](repeating: 9, count: padding) + writer.bytes)[padding...])
        for (kind, value, bytes) in expected {
            switch kind {
            case 0: #expect(reader.byte() == UInt8(truncatingIfNeeded: value), "seed \(seed)")
            case 1: #expect(reader.number(UInt16.self) == UInt16(truncatingIfNeeded: value), "seed \(seed)")
            case 2: #expect(reader.number() == UInt32(truncatingIfNeeded: value), "seed \(seed)")
            case 3: #expect(reader.number() == Int64(bitPattern: value), "seed \(seed)")
            default: #expect(reader.bytes(bytes.count).map(Array.init) == bytes, "seed \(seed)")
            }
        }
        #expect(reader.isAtEnd)
    }

    @Test("a read past the end returns nil and leaves the position") func end() {
        var reader = ByteReader([1, 2, 3], at: 1)
        #expect(reader.number(UInt32.self) == nil)
        #expect(reader.bytes(3) == nil && reader.bytes(-1) == nil)
        #expect(reader.position == 1)
        #expect(reader.number(UInt16.self) == 0x0302)
        #expect(reader.isAtEnd && reader.byte() == nil && reader.number(UInt8.self) == nil)
        #expect(reader.bytes(0) == [])
    }

    @Test("an interrupted call is repeated, another failure is not") func retrying() {
        var calls = 0
        let result: Int32? = SystemCall.retrying {
            calls += 1
            errno = EINTR
            return calls < 4 ? -1 : 5
        }
        #expect(result == 5 && calls == 4)
        calls = 0
        let failure: Int? = SystemCall.retrying {
            calls += 1
            errno = EIO
            return -1
        }
        #expect(failure == nil && calls == 1 && errno == EIO)
    }
}
