import TestSupport
import Testing
import Core

@Suite struct ItemIDTests {
    @Test(arguments: 0..<20)
    func `An id survives its text form, whatever its bytes are`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let length = Int.random(in: 1...511, using: &random)
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let id = ItemID(unchecked: bytes)
            #expect(ItemID(text: id.text) == id, "seed \(seed)")
        }
    }

    @Test(arguments: ["17", "base64:", "base64:AAAA", "b", "söt", "a/b?c", "\u{0}", "base64", "Base64:x"])
    func `An id of text bytes survives its text form`(text: String) throws {
        let id = try #require(ItemID(text.utf8))
        #expect(ItemID(text: id.text) == id)
    }

    @Test func `Text is itself, and bytes that are not UTF-8 are base64`() {
        #expect(ItemID(text: "B00X")?.text == "B00X")
        #expect(ItemID(unchecked: [0xFF, 0x00]).text == "base64:/wA=")
        #expect(ItemID(unchecked: Array("base64:x".utf8)).text.hasPrefix("base64:"))
    }

    @Test func `Empty and over-long ids are refused`() {
        #expect(ItemID(text: "") == nil)
        #expect(ItemID(text: "base64:") == nil)
        #expect(ItemID(text: String(repeating: "x", count: 511)) != nil)
        #expect(ItemID(text: String(repeating: "x", count: 512)) == nil)
    }

    @Test func `Ids are in the order of their bytes`() {
        let ordered: [[UInt8]] = [[0], [0, 0], [0, 1], [1], [127], [128], [255], [255, 0]]
        #expect(ordered.map { ItemID(unchecked: $0) }.shuffled().sorted().map(\.bytes) == ordered)
    }
}

@Suite struct Base64Tests {
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy"),
    ])
    func `The examples of RFC 4648 hold`(plain: String, encoded: String) {
        #expect(Base64.encode(plain.utf8) == encoded)
        #expect(Base64.decode(encoded.utf8) == Array(plain.utf8))
    }

    @Test(arguments: ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v ", "Zm-v", "=Zm9", "Zg==Zg==", "Zm8=="])
    func `Only the canonical form is read`(text: String) {
        #expect(Base64.decode(text.utf8) == nil)
    }
}
