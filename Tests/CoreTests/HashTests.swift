import Core
import Testing

/// Hashes and random numbers that must be the same everywhere, against published values.
@Suite struct HashTests {
    @Test func `SplitMix64 gives the published numbers for its reference seed`() {
        var numbers = SplitMix64(seed: 1_234_567)
        let found = (0..<5).map { _ in numbers.next() }
        #expect(
            found == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
                4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
            ])
    }

    @Test func `FNV-1a gives the published hashes of bytes`() {
        func hash(_ text: String) -> UInt64 {
            var hash = FNV1a()
            for byte in text.utf8 { hash.add(UInt32(byte)) }
            return hash.value
        }
        #expect(hash("") == 0xcbf2_9ce4_8422_2325)
        #expect(hash("a") == 0xaf63_dc4c_8601_ec8c)
        #expect(hash("foobar") == 0x8594_4171_f739_67e8)
    }
}
