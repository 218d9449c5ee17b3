import Testing
import TextEmbedding
import Core

@Suite("The text of an item")
struct ItemTextTests {
    private func read(_ json: String) throws -> ItemText {
        try ItemText(json: Array(json.utf8))
    }

    @Test("is title, brand, categories and description, in this order")
    func order() throws {
        let item = try read(
            #"{"description":"Bright.","id":"7","categories":"Home,Light","price":9.5,"brand":"Lux","title":"Lamp"}"#)
        #expect(item.id == ItemID(text: "7"))
        #expect(item.text == "Lamp. Lux. Home,Light. Bright.")
    }

    @Test(
        "accepts strings, numbers, arrays and null",
        arguments: [
            (#"{"id":"a","title":["One","Two"],"brand":null}"#, "One, Two"),
            (#"{"id":"a","title":"  padded \n","brand":"   "}"#, "padded"),
            (#"{"id":"a","title":1984,"brand":2.5}"#, "1984. 2.5"),
            (#"{"id":"a","categories":[["Home","Light"],[],["Desk"]]}"#, "Home, Light, Desk"),
            (#"{"id":"a","title":"caf\u00e9 \ud83d\ude00"}"#, "café 😀"),
            (#"{"id":"a","other":{"title":"no"}}"#, ""),
            (#"{"id":"a"}"#, ""),
        ])
    func values(json: String, text: String) throws {
        #expect(try read(json).text == text)
    }

    @Test(
        "accepts an id as text, integer or base64",
        arguments: [(#""x y""#, "x y"), ("17", "17"), ("-3", "-3"), (#""base64:/w==""#, "base64:/w==")])
    func ids(json: String, text: String) throws {
        #expect(try read("{\"id\":\(json),\"title\":\"T\"}").id == ItemID(text: text))
    }

    @Test(
        "reports what is wrong",
        arguments: [
            ("", "bad_json"), ("[]", "bad_json"), (#""text""#, "bad_json"), (#"{"id":"a""#, "bad_json"),
            (#"{"id":"a"} {"id":"b"}"#, "bad_json"), ("{\"id\":\"a\",\"title\":\"\u{1}", "bad_json"),
            (#"{"title":"T"}"#, "bad_id"), (#"{"id":null}"#, "bad_id"), (#"{"id":""}"#, "bad_id"),
            (#"{"id":1.5}"#, "bad_id"), (#"{"id":["a"]}"#, "bad_id"), (#"{"id":"base64:?"}"#, "bad_id"),
            (#"{"id":"a","title":{}}"#, "bad_field"), (#"{"id":"a","brand":true}"#, "bad_field"),
            (#"{"id":"a","categories":["x",{}]}"#, "bad_field"),
        ])
    func errors(json: String, reason: String) {
        let error = #expect(throws: TextEmbeddingError.self) { try read(json) }
        #expect(error?.code == "text_embedding.\(reason)")
        #expect(error?.kind == .invalid)
        #expect(error?.remedy.isEmpty == false)
    }

    @Test("refuses an id of more than 511 bytes")
    func longID() throws {
        let longest = String(repeating: "é", count: 255) + "x"
        #expect(try read("{\"id\":\"\(longest)\"}").id.bytes.count == 511)
        let error = #expect(throws: TextEmbeddingError.self) { try read("{\"id\":\"\(longest)x\"}") }
        #expect(error?.reason == .badID)
    }

    @Test("refuses bytes that are not UTF-8")
    func notUTF8() {
        var json = Array(#"{"id":"a","title":"x"}"#.utf8)
        json[19] = 0xFF
        let error = #expect(throws: TextEmbeddingError.self) { try ItemText(json: json) }
        #expect(error?.reason == .badJSON)
    }
}
