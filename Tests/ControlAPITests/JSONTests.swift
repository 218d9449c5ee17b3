import ControlAPI
import Core
import Foundation
import TestSupport
import Testing

@Suite struct JSONWriterTests {
    private static let ids: [ItemID] =
        ["17", "b", "base64:x", "a\"b\\c/d", "\u{1}\n\t\r\u{7F}", "söt 🎧", " "].map {
            ItemID(unchecked: Array($0.utf8))
        } + [
            ItemID(unchecked: [0xFF, 0]), ItemID(unchecked: [0]),
            ItemID(unchecked: [UInt8](repeating: 0x61, count: 511)),
        ]

    private func decoded<Value: Codable & JSONWritable>(_ value: Value) throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(value.jsonBytes))
    }

    /// Whether JSONEncoder gives the same JSON object.
    private func sameAsEncoder(_ value: some Encodable & JSONWritable) throws -> Bool {
        let ours = try JSONSerialization.jsonObject(with: Data(value.jsonBytes)) as? NSDictionary
        let theirs = try JSONSerialization.jsonObject(with: JSONEncoder().encode(value)) as? NSDictionary
        return ours != nil && ours == theirs
    }

    @Test(arguments: ItemStatus.allCases, [nil, 0, 7, 65535])
    func `An answer about items reads back as it was`(status: ItemStatus, generation: Int?) throws {
        let codes: [Identifier?] = [[12, 3, 7, 0], [0], [65535, 10, 99, 100, 1000, 10000, 1, 2, 3], nil, []]
        let answer = ItemsAnswer(
            generation: generation,
            items: Self.ids.flatMap { id in
                codes.map { ItemAnswer(item: id, codes: $0, status: status, generation: generation) }
            })
        #expect(try decoded(answer) == answer)
        for item in answer.items {
            #expect(try decoded(item) == item)
            #expect(try sameAsEncoder(item))
        }
    }

    @Test func `The form of an item is the documented one`() {
        let known = ItemAnswer(item: ItemID(unchecked: [0x61]), codes: [12, 3], status: .live, generation: 1)
        #expect(
            String(decoding: known.jsonBytes, as: UTF8.self)
                == #"{"item":"a","codes":[12,3],"tokens":"<a_12><b_3>","generation":1,"status":"live"}"#)
        let unknown = ItemAnswer(item: ItemID(unchecked: [0x61]), codes: nil, status: .unknown, generation: nil)
        #expect(
            String(decoding: unknown.jsonBytes, as: UTF8.self)
                == #"{"item":"a","codes":null,"tokens":null,"generation":null,"status":"unknown"}"#)
    }

    @Test func `Answers about identifiers and tries read back as they were`() throws {
        let identifiers = IdentifiersAnswer(
            generation: 3,
            identifiers: [
                IdentifierAnswer(codes: [1, 2], items: Self.ids, generation: 3),
                IdentifierAnswer(codes: [1, 3], items: [], status: .deleted, generation: nil),
            ], more: true)
        #expect(try decoded(identifiers) == identifiers)
        let tries = TrieAnswers(
            generation: 3,
            answers: [
                TrieAnswer(prefix: [], next: Array(0...300), items: 1_000_000, generation: 3),
                TrieAnswer(prefix: [1, 2], next: [], items: 0, generation: nil),
            ])
        #expect(try decoded(tries) == tries)
    }

    @Test func `A dump has one object a line`() throws {
        let batch = DumpBatch(generation: 1, items: Self.ids.map { ItemDump(item: $0, codes: [1, 2, 3]) })
        let lines = batch.jsonBytes.split(separator: 0x0A)
        #expect(try lines.map { try JSONDecoder().decode(ItemDump.self, from: Data($0)) } == batch.items)
    }

    @Test func `Status and generations name the active generation even when there is none`() throws {
        let status = Status(state: .waitingForCatalog, pid: 1, version: "0")
        let text = String(decoding: try JSONEncoder().encode(status), as: UTF8.self)
        #expect(text.contains("\"generation\":null"))
        #expect(text.contains("\"state\":\"waiting_for_catalog\""))
        for key in [
            "items", "caught_up", "lag_transactions", "quarantined", "collisions", "tombstones", "stale", "problems",
        ] {
            #expect(text.contains("\"\(key)\":"))
        }
        #expect(try JSONDecoder().decode(Status.self, from: Data(text.utf8)) == status)
        let none = String(
            decoding: try JSONEncoder().encode(GenerationsAnswer(active: nil, generations: [])), as: UTF8.self)
        #expect(none.contains("\"active\":null"))
    }
}

@Suite struct JSONReaderTests {
    private func ids(_ json: String) throws -> [ItemID] { try ItemsRequest(json: Array(json.utf8)).ids }

    @Test func `Requests read back as they were written`() throws {
        let ids =
            ["1", "é", "\"", "base64:x", "\u{0}"].map { ItemID(unchecked: Array($0.utf8)) } + [
                ItemID(unchecked: [0xC3])
            ]
        #expect(try ItemsRequest(json: ItemsRequest(ids: ids).jsonBytes).ids == ids)
        let identifiers: [Identifier] = [[1, 2], [], [65535]]
        #expect(
            try IdentifiersRequest(json: IdentifiersRequest(identifiers: identifiers).jsonBytes).identifiers
                == identifiers)
        #expect(try NextRequest(json: NextRequest(prefixes: identifiers).jsonBytes).prefixes == identifiers)
        let name = try #require(UploadName("m-1"))
        #expect(try PublishRequest(json: PublishRequest(upload: name).json()).upload == name)
        #expect(try WaitRequest(json: WaitRequest(timeoutSeconds: 30).json()).timeoutSeconds == 30)
    }

    @Test func `Spaces, escapes and both forms of identifiers are read`() throws {
        let read = try ids(" {\n\"ids\" : [ \"a\\u00e9\\n\" , \"\\ud83c\\udfa7\", \"base64:\\/w==\" ] } ")
        #expect(read.map(\.bytes) == [Array("aé\n".utf8), Array("🎧".utf8), [0xFF]])
        let identifiers = try IdentifiersRequest(
            json: Array(#"{"identifiers":["1-2","<a_1><b_2>",[1,2],[ ],""]}"#.utf8))
        #expect(identifiers.identifiers == [[1, 2], [1, 2], [1, 2], [], []])
        #expect(try WaitRequest(json: Array(#"{"timeout_seconds":2.5e1}"#.utf8)).timeoutSeconds == 25)
    }

    @Test(arguments: [
        "", "{", "[]", "{}", "null", #"{"ids"}"#, #"{"ids":}"#, #"{"ids":[}"#, #"{"ids":["a"}"#, #"{"ids":["a",]}"#,
        #"{"ids":["a"]"#, #"{"ids":["a"]}x"#, #"{"ids":["a"],"ids":["b"]}"#, #"{"ids":["a"],"more":1}"#,
        #"{"ids":[1]}"#, #"{"ids":["a" "b"]}"#, #"{"ids":["\x"]}"#, #"{"ids":["\ud800"]}"#,
        #"{"ids":["\ud800\u0041"]}"#,
        #"{"ids":["\u12"]}"#, "{\"ids\":[\"a\nb\"]}", #"{"ids":["a]}"#, #"{"ids":["a\"#, #"{"ids":[""]}"#,
        #"{"ids":["base64:A"]}"#, #"{ids:["a"]}"#, #"{"ids":[["a"]]}"#, "{\"ids\":[\"a\"],}",
    ])
    func `A body of another form is refused`(json: String) {
        #expect(throws: ControlError.self) { try ids(json) }
    }

    @Test func `Bytes that are not UTF-8 are refused`() {
        #expect(throws: ControlError.self) {
            try ItemsRequest(json: Array("{\"ids\":[\"".utf8) + [0xFF] + Array("\"]}".utf8))
        }
    }

    @Test func `Deep nesting does not overflow the stack`() {
        let deep = "{\"ids\":" + String(repeating: "[", count: 1_000_000)
        #expect(throws: ControlError.self) { try ids(deep) }
        let objects = String(repeating: "{\"ids\":", count: 100_000)
        #expect(throws: ControlError.self) { try ids(objects) }
    }

    @Test func `A batch has a limit`() throws {
        func batch(_ count: Int) -> String {
            "{\"ids\":[" + Array(repeating: "\"a\"", count: count).joined(separator: ",") + "]}"
        }
        #expect(try ids(batch(RequestLimits.lookups)).count == RequestLimits.lookups)
        let failure = #expect(throws: ControlError.self) { try ids(batch(RequestLimits.lookups + 1)) }
        #expect(failure?.code == "control.batch_too_large")
    }

    @Test(arguments: [
        #"{"identifiers":[[65536]]}"#, #"{"identifiers":[[-1]]}"#, #"{"identifiers":[[01]]}"#,
        #"{"identifiers":[[1.5]]}"#, #"{"identifiers":[[0,0,0,0,0,0,0,0,0,0]]}"#,
        #"{"identifiers":[[99999999999999999999]]}"#, #"{"identifiers":["x"]}"#,
    ])
    func `What is not an identifier is refused`(json: String) {
        #expect(throws: ControlError.self) { try IdentifiersRequest(json: Array(json.utf8)) }
    }

    @Test(arguments: [
        "", "{}", "[]", "null", "{", #"{"upload":"m"}"#, #"{"timeout_seconds":"1"}"#, #"{"timeout_seconds":1}x"#,
        #"{"timeout_seconds":1,"more":2}"#, #"{"timeout_seconds":null}"#, #"{"timeout_seconds":1e999}"#,
    ])
    func `A small request of another form is refused`(json: String) {
        let failure = #expect(throws: ControlError.self) { try WaitRequest(json: Array(json.utf8)) }
        #expect(failure?.reason == .badJSON)
    }

    @Test(arguments: [
        (#"{"timeout_seconds":-1}"#, "control.bad_timeout"), (#"{"timeout_seconds":3601}"#, "control.bad_timeout"),
    ])
    func `A wait has a limit`(json: String, code: String) {
        #expect(#expect(throws: ControlError.self) { try WaitRequest(json: Array(json.utf8)) }?.code == code)
    }

    @Test func `A wait may be shorter than a second`() throws {
        #expect(try WaitRequest(json: WaitRequest(timeoutSeconds: 0.5).json()).timeoutSeconds == 0.5)
    }

    @Test func `A bad name of an upload is refused as such`() {
        let failure = #expect(throws: ControlError.self) { try PublishRequest(json: Array(#"{"upload":"a/b"}"#.utf8)) }
        #expect(failure?.code == "control.bad_upload_name")
    }

    @Test(arguments: 0..<8)
    func `Damaged requests never trap`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let start = Array(#"{"identifiers":["1-2",[3,4,65535],"<a_1>","\u00e9\n"]}"#.utf8)
        for _ in 0..<5000 {
            var bytes = start
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes[index] = .random(in: 0...255, using: &random)
                case 1: bytes.removeSubrange(index...)
                default: bytes.insert(bytes[index], at: index)
                }
                if bytes.isEmpty { break }
            }
            _ = try? IdentifiersRequest(json: bytes)
            _ = try? ItemsRequest(json: bytes)
            _ = try? PublishRequest(json: bytes)
        }
    }
}

@Suite struct ValueTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_400_123, "2000-02-29T00:00:00.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"), (1_795_288_622_000, "2026-11-21T19:17:02.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ])
    func `Times are RFC 3339`(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).text == text)
        #expect(Timestamp(text: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: 0..<4)
    func `Any time reads back`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<1000 {
            let time = Timestamp(milliseconds: .random(in: -62_167_219_200_000...253_402_300_799_999, using: &random))
            #expect(Timestamp(text: time.text) == time)
        }
    }

    @Test(arguments: [
        "2026-11-21T19:17:02Z", "2026-11-21T19:17:02.000+01:00", "2026-11-21 19:17:02.000Z", "2026-02-30T19:17:02.000Z",
        "2026-11-21T24:17:02.000Z", "2026-11-21T19:17:02.000Zx", "2026-11-21T19:17:02.0Z", "", "now",
    ])
    func `Other forms of a time are refused`(text: String) {
        #expect(Timestamp(text: text) == nil)
    }

    @Test(arguments: ["", ".", "..", ".hidden", "a/b", "A", "a b", "ä", "a\u{0}", String(repeating: "a", count: 65)])
    func `A name that could be a path is no upload's name`(text: String) {
        #expect(UploadName(text) == nil)
    }

    @Test(arguments: ["a", "model-1.0_x", "0", String(repeating: "a", count: 64)])
    func `Plain names are`(text: String) {
        #expect(UploadName(text)?.text == text)
    }

    @Test func `A failure keeps its code, kind, message and remedy`() {
        let failure = RemoteFailure(code: "a.b", kind: .temporary, message: "m", remedy: "r")
        let back = ErrorBody(failure).failure(httpStatus: failure.kind.httpStatus)
        #expect(back.code == "a.b" && back.kind == .temporary && back.message == "m" && back.remedy == "r")
        #expect(ErrorBody(code: "x", message: "", remedy: "", kind: nil).failure(httpStatus: 409).kind == .conflict)
    }

    @Test func `An internal error is reported as one, with four members`() throws {
        struct Odd: Error {}
        let text = String(decoding: ErrorBody(Odd()).json, as: UTF8.self)
        #expect(
            text.hasPrefix(#"{"code":"control.internal","kind":"internal","message":"Internal error: Odd"#), "\(text)")
        #expect(try WireJSON.decode(ErrorBody.self, from: Array(text.utf8)).remedy.isEmpty == false)
        // Without a kind, as the command line prints it, three are left.
        let plain = ErrorBody(code: "a.b", message: "x/y \"z\"", remedy: "r", kind: nil)
        #expect(String(decoding: plain.json, as: UTF8.self) == #"{"code":"a.b","message":"x/y \"z\"","remedy":"r"}"#)
    }

    @Test func `Every reason has a status that fits its kind`() {
        let special: [ControlReason: Int] = [
            .wrongMethod: 405, .requestTimeout: 408, .batchTooLarge: 413, .bodyTooLarge: 413,
        ]
        for (reason, status) in special { #expect(reason.httpStatus == status) }
        #expect(ControlReason.noSuchRoute.httpStatus == 404 && ControlReason.permissionDenied.httpStatus == 403)
        #expect(ControlReason.tooManyConnections.httpStatus == 503 && ControlReason.internal.httpStatus == 500)
    }

    @Test func `Warnings of a generation are absent when there are none`() throws {
        var info = GenerationInfo(
            number: 3, state: .candidate, items: 1, progress: 1, created: Timestamp(milliseconds: 0))
        #expect(!String(decoding: try WireJSON.encode(info), as: UTF8.self).contains("warnings"))
        info.warnings = [Problem(code: "daemon.poor_fit", message: "m", remedy: "r")]
        let text = String(decoding: try WireJSON.encode(info), as: UTF8.self)
        #expect(text.contains(#""warnings":[{"code":"daemon.poor_fit","message":"m","remedy":"r"}]"#), "\(text)")
        #expect(try WireJSON.decode(GenerationInfo.self, from: Array(text.utf8)) == info)
        info.warnings = []
        #expect(!String(decoding: try WireJSON.encode(info), as: UTF8.self).contains("warnings"))
    }

    @Test func `A finding becomes a check of its subject, with the caller's remedy if it failed`() {
        let good = Check(
            subject: "index", Finding("trie", .ok, "3 nodes", took: .milliseconds(5)), remedy: "Rebuild it.")
        #expect(good == Check(subject: "index", name: "trie", outcome: .ok, detail: "3 nodes", tookMs: 5))
        let bad = Check(subject: "index", Finding("trie", .failed, "it differs"), remedy: "Rebuild it.")
        #expect(bad.remedy == "Rebuild it." && !ChecksAnswer(checks: [good, bad]).ok)
    }

    @Test(arguments: [("/tmp/s", true), ("", false), ("a\u{0}b", false)])
    func `A socket path has an address if it can be one`(path: String, isValid: Bool) {
        #expect((UnixAddress(path: path) != nil) == isValid)
        #expect(UnixAddress.maximumPathLength == 107)
        #expect(UnixAddress(path: String(repeating: "x", count: 107)) != nil)
        #expect(UnixAddress(path: String(repeating: "x", count: 108)) == nil)
    }
}
