import Foundation
import TestSupport
import Testing

/// What goes wrong is named, tells what to do, has its exit code, and loses nothing.
@Suite("Bad input, end to end", .serialized, .timeLimit(.minutes(10)))
struct BadInputTests {
    /// A command that must fail so.
    private func expect(
        _ result: Site.Result, _ status: Int32, _ code: String, at location: SourceLocation = #_sourceLocation
    ) {
        #expect(result.status == status, "\(result.errors)", sourceLocation: location)
        #expect(result.errors.contains(code), "\(result.errors)", sourceLocation: location)
    }

    private func site(items: Int = 60) async throws -> Site {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "\(items)", "--prefix", "item-")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        return site
    }

    @Test func `bad records are quarantined with their reason while the others go on, and leave when mended`()
        async throws
    {
        let site = try await site()
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["model"])
        let before = try await site.dump(as: "before")
        for (kind, item) in [
            ("short", "item-1"), ("nan", "new-nan"), ("inf", "new-inf"), ("empty", "new-empty"), ("odd", "new-odd"),
        ] {
            try await site.python("plain_writer.py", "spoil", site.catalog, kind, "--ids", item)
        }
        try await site.python("plain_writer.py", "add", site.catalog, "5", "--prefix", "good-")
        try await site.letterOK("wait", "--caught-up")
        var status = try await site.status()
        #expect(status["quarantined"] as? Int == 5)
        #expect(status["items"] as? Int == 65)
        let quarantine = try await site.letterOK("quarantine", "--json").output
        for reason in ["wrong_size", "not_finite", "new-odd", "new-inf"] { #expect(quarantine.contains(reason)) }
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "after"))
        try await site.python(
            "plain_writer.py", "edit", site.catalog, "--ids", "item-1", "new-nan", "new-inf", "new-empty", "new-odd")
        try await site.letterOK("wait", "--caught-up")
        status = try await site.status()
        #expect(status["quarantined"] as? Int == 0)
        #expect(status["items"] as? Int == 69)
        _ = before
        try await site.stop()
    }

    @Test func `wrong commands on catalogs change nothing`() async throws {
        let site = Site()
        try await site.letterOK("catalog", "init", site.catalog, "--dimension", "3")
        expect(try await site.letter("catalog", "init", site.catalog, "--dimension", "3"), 1, "catalog.already_exists")
        expect(try await site.letter("catalog", "info", site.folder["none"]), 69, "catalog.missing")
        try FileManager.default.createDirectory(atPath: site.folder["text"], withIntermediateDirectories: true)
        try String(repeating: "no database ", count: 1_000).write(
            toFile: site.folder["text"] + "/data.mdb", atomically: false, encoding: .utf8)
        expect(try await site.letter("catalog", "info", site.folder["text"]), 69, "catalog.damaged")

        let items = site.folder["items.jsonl"]
        func put(_ lines: String) async throws -> Site.Result {
            try lines.write(toFile: items, atomically: false, encoding: .utf8)
            return try await site.letter("catalog", "put", site.catalog, "--items", items, "--embed", "hashing")
        }
        let long = String(repeating: "x", count: 512)
        expect(try await put(#"{"id": "a", "title": "fine"}"# + "\n" + #"{"id": "", "title": "empty"}"#), 1, "bad_id")
        expect(
            try await put(#"{"id": "a", "title": "fine"}"# + "\n" + #"{"id": "\#(long)", "title": "long"}"#), 1,
            "bad_id")
        expect(try await put(#"{"id": "a", "title": "fine"}"# + "\nnot json"), 1, "text_embedding")
        expect(try await site.letter("catalog", "delete", site.catalog, "nobody"), 1, "catalog.unknown_item")
        // Nothing of the failed transactions is there.
        #expect(try await site.letterOK("catalog", "info", site.catalog, "--json").output.contains(#""embeddings":0"#))
        expect(
            try await site.letter("catalog", "import", site.catalog, "--embeddings", frozenTokenizer), 1,
            "files.damaged")
    }

    @Test func `a model that is damaged or of another width is refused and the active generation stays`() async throws {
        let site = try await site()
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["model"])
        let before = try await site.dump(as: "before")
        let damaged = site.folder["damaged"]
        try FileManager.default.copyItem(atPath: site.folder["model"], toPath: damaged)
        let tensors = damaged + "/tokenizer.safetensors"
        var bytes = try Data(contentsOf: URL(fileURLWithPath: tensors))
        bytes[bytes.count / 2] ^= 0x40
        try bytes.write(to: URL(fileURLWithPath: tensors))
        expect(try await site.letter("generation", "publish", damaged), 1, "tokenizer.model_mismatch")
        try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: tensors))
        expect(try await site.letter("generation", "publish", damaged), 1, "tokenizer.model_mismatch")
        #expect(try await site.letter("generation", "publish", site.folder["nothing"]).status != 0)
        // Another width than the catalog's.
        try await site.letterOK("catalog", "init", site.folder["narrow"], "--dimension", "16")
        let items = site.folder["items.jsonl"]
        try (0..<40).map { #"{"id": "\#($0)", "title": "item number \#($0)"}"# }.joined(separator: "\n")
            .write(toFile: items, atomically: false, encoding: .utf8)
        try await site.letterOK("catalog", "import", site.folder["narrow"], "--items", items, "--embed", "hashing")
        try await site.letterOK(
            "tokenizer", "train", "--catalog", site.folder["narrow"], "--output", site.folder["narrow-model"],
            "--epochs", "2",
            "--widths", "12", "--seed", "1")
        expect(
            try await site.letter("generation", "publish", site.folder["narrow-model"]), 1, "daemon.dimension_mismatch")
        let status = try await site.status()
        #expect(status["generation"] as? Int == 1)
        #expect(status["state"] as? String == "serving")
        try await site.python("oracle.py", "equal", before, try await site.dump(as: "after"))
        try await site.stop()
    }

    @Test func `unknown items, identifiers and prefixes are answered as unknown`() async throws {
        let site = try await site()
        try await site.start()
        expect(try await site.letter("item", "item-1"), 69, "daemon.no_generation")
        try await site.letterOK("generation", "publish", site.folder["model"])
        let items = try await site.letter("item", "nobody", "item-1", "--json")
        #expect(items.status == 1)
        let answers = try #require(try items.json() as? [[String: Any]])
        #expect(answers[0]["codes"] is NSNull)
        #expect((answers[1]["codes"] as? [Int])?.count == 4)
        #expect(answers.map { $0["item"] as? String } == ["nobody", "item-1"])
        #expect(try await site.letter("identifier", "255-255-255-255", "--json").output.contains(#""items":[]"#))
        #expect(try await site.letter("identifier", "1-2-x").status == 64)
        expect(try await site.letter("trie", "next", "1-2-3-4-5"), 1, "daemon.wrong_length")
        expect(try await site.letter("generation", "promote", "99"), 1, "generations.unknown")
        try await site.stop()
    }

    @Test func `a second daemon on the same state or socket is refused, and the first goes on`() async throws {
        let site = try await site()
        try await site.start()
        expect(try await site.failingDaemon(socket: site.folder["t.sock"]), 1, "generations.state_in_use")
        expect(try await site.failingDaemon(state: site.folder["other"]), 1, "control.already_running")
        #expect(try await site.letter("status").status == 0)
        // A socket that a killed daemon left is no obstacle.
        try await site.stop(SIGKILL)
        #expect(FileManager.default.fileExists(atPath: site.socket))
        try await site.start()
        try await site.stop()
        let long = site.folder[String(repeating: "s", count: 120)]
        expect(try await site.failingDaemon(socket: long), 78, "control.socket_path_too_long")
    }

    @Test func `a catalog that suddenly lacks many items loses nobody until that is confirmed`() async throws {
        let site = try await site(items: 100)
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["model"])
        let before = try await site.dump(as: "before")
        expect(try await site.letter("catalog", "confirm"), 1, "daemon.nothing_held")
        try await site.python("plain_writer.py", "delete", site.catalog, "60", "--seed", "5")
        let added = try site.save(
            try await site.python("plain_writer.py", "add", site.catalog, "3", "--prefix", "late-"), as: "added")
        expect(try await site.letter("wait", "--caught-up", "--timeout", "1s"), 75, "daemon.not_caught_up")
        var status = try await site.status()
        #expect("\(status["problems"] ?? "")".contains("daemon.deletions_held"))
        #expect(status["caught_up"] as? Bool == false)
        // What was added is there, and nobody has gone.
        try await site.python("oracle.py", "compare", before, try await site.dump(as: "held"), "--added", added)
        // A restart changes nothing about that.
        try await site.stop(SIGKILL)
        try await site.start()
        _ = try await site.letter("wait", "--caught-up", "--timeout", "1s")
        try await site.python("oracle.py", "compare", before, try await site.dump(as: "restarted"), "--added", added)
        try await site.letterOK("catalog", "confirm")
        try await site.letterOK("wait", "--caught-up")
        status = try await site.status()
        #expect(status["items"] as? Int == 43)
        #expect((status["problems"] as? [Any])?.isEmpty == true, "\(status)")
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "confirmed"))
        // A fifth and less needs nobody's word.
        try await site.python("plain_writer.py", "delete", site.catalog, "8", "--seed", "6")
        try await site.letterOK("wait", "--caught-up")
        #expect(try await site.status()["items"] as? Int == 35)
        try await site.stop()
    }

    @Test func `a daemon without a catalog says so and begins when there is one`() async throws {
        let site = Site()
        try await site.start()
        var status = try await site.status()
        #expect(status["state"] as? String == "waiting_for_catalog")
        #expect("\(status["problems"] ?? "")".contains("catalog.missing"))
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "30")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        try await site.letterOK("generation", "publish", site.folder["model"])
        try await site.letterOK("wait", "--caught-up", "--timeout", "20s")
        status = try await site.status()
        #expect(status["items"] as? Int == 30)
        #expect((status["problems"] as? [Any])?.isEmpty == true)
        try await site.stop()
    }
}
