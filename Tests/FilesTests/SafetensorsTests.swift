import Core
import Files
import Testing

@Suite struct SafetensorsTests {
    private func file(_ header: String, _ data: [UInt8], length: UInt64? = nil) -> [UInt8] {
        let count = length ?? UInt64(header.utf8.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: count >> UInt64(8 * $0)) } + header.utf8 + data
    }

    @Test("what is written is read, and the bytes do not depend on the order of adding") func roundTrip() throws {
        var (one, other) = (SafetensorsWriter(), SafetensorsWriter())
        one.add("b", shape: [2, 2], [1, 2, 3, 4])
        one.add("a\"\n", shape: [], [5])
        one.metadata = ["k": "v\\", "a": "b"]
        other.metadata = ["a": "b", "k": "v\\"]
        other.add("a\"\n", shape: [], [5])
        other.add("b", shape: [2, 2], [1, 2, 3, 4])
        #expect(one.bytes() == other.bytes())
        let read = try Safetensors(one.bytes(), path: "test")
        #expect(read.metadata == ["k": "v\\", "a": "b"])
        #expect(try read.floats("b", shape: [2, 2]) == [1, 2, 3, 4])
        #expect(try read.floats("a\"\n") == [5])
        #expect(read.entries.count == 2)
    }

    @Test(
        "a header that contradicts itself or the data is refused",
        arguments: [
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            #"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,-8]}}"#,
            #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#,
            #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}"#,
            #"{"a":{"dtype":"Q7","shape":[2],"data_offsets":[0,8]}}"#,
            #"{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}"#,
            #"{"a":3}"#, #"[]"#, #"{"#, "",
            String(repeating: "[", count: 100_000),
        ])
    func refused(header: String) {
        let failure = #expect(throws: FilesError.self) {
            try Safetensors(file(header, [0, 0, 0, 0, 0, 0, 0, 0]), path: "test")
        }
        #expect(failure?.code == "files.damaged")
    }

    @Test("the same data with a correct header is read") func control() throws {
        let header = #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
        #expect(try Safetensors(file(header, [0, 0, 0, 0, 0, 0, 0, 0]), path: "test").floats("a") == [0, 0])
    }

    @Test(
        "a header announced to be longer than the file or than 1 MiB is refused",
        arguments: [UInt64.max, 1 << 63, 1 << 21, 999])
    func long(length: UInt64) {
        #expect(throws: FilesError.self) { try Safetensors(file("{}", [], length: length), path: "test") }
    }

    @Test("values that are not finite are refused") func infinite() throws {
        var writer = SafetensorsWriter()
        writer.add("a", shape: [2], [1, .nan])
        let read = try Safetensors(writer.bytes(), path: "test")
        #expect(throws: FilesError.self) { try read.floats("a") }
        #expect(throws: FilesError.self) { try read.floats("a", shape: [3]) }
        #expect(throws: FilesError.self) { try read.integers("a") }
        #expect(throws: FilesError.self) { try read.floats("b") }
    }

    @Test("a file truncated anywhere is refused, and no changed byte crashes the reader") func damaged() throws {
        var writer = SafetensorsWriter()
        writer.add("b", shape: [2, 2], [1, 2, 3, 4])
        writer.add("a", shape: [1], [5])
        let whole = writer.bytes()
        for length in 0..<whole.count {
            #expect(throws: FilesError.self) { try Safetensors(Array(whole[..<length]), path: "test") }
        }
        for place in whole.indices {
            for flip in [0x01, 0x10, 0x80, 0xff] as [UInt8] {
                var bytes = whole
                bytes[place] ^= flip
                let read = try? Safetensors(bytes, path: "test")
                for name in (read?.entries.keys).map(Array.init) ?? [] { _ = try? read?.floats(name) }
            }
        }
    }
}
