import Foundation
import TestSupport
import Testing

/// Publishing more than once, going forward and back, and what happens when a step in between is missing.
@Suite("Generations, end to end", .serialized, .timeLimit(.minutes(10)))
struct GenerationChangeTests {
    /// A catalog of small vectors made from text, and models trained on it.
    private func site(items: Int = 80) async throws -> Site {
        let site = Site()
        try await site.letterOK("catalog", "init", site.catalog, "--dimension", "24")
        try (0..<items).map { #"{"id": "i\#($0)", "title": "thing number \#($0) of kind \#($0 % 7)"}"# }
            .joined(separator: "\n").write(toFile: site.folder["items.jsonl"], atomically: false, encoding: .utf8)
        try await site.letterOK(
            "catalog", "import", site.catalog, "--items", site.folder["items.jsonl"], "--embed", "hashing")
        return site
    }

    private func train(_ site: Site, _ name: String, seed: Int, catalog: String? = nil) async throws {
        try await site.letterOK(
            "tokenizer", "train", "--catalog", catalog ?? site.catalog, "--output", site.folder[name], "--epochs", "2",
            "--widths", "16", "--seed", "\(seed)")
    }

    private func sqlite(_ path: String, _ statement: String) async throws {
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
        let result = try await Site.run("/usr/bin/python3", ["-c", script, path, statement])
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test func `a second generation is built beside the first, promoted, and the first brought back as it was`()
        async throws
    {
        let site = try await site()
        try await train(site, "one", seed: 1)
        try await train(site, "two", seed: 2)
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["one"])
        let first = try await site.dump(as: "first")
        try await site.letterOK("generation", "publish", site.folder["two"])
        // It is complete and waits: nobody's answers have changed.
        #expect(try await site.letterOK("generation", "list", "--json").output.contains(#""state":"candidate""#))
        try await site.python("oracle.py", "equal", first, try await site.dump(as: "still-first"))
        try await site.letterOK("generation", "promote", "2")
        let second = try await site.dump(as: "second")
        try await site.python("oracle.py", "check", site.catalog, second)
        #expect(try await site.status()["generation"] as? Int == 2)
        #expect(try String(contentsOfFile: first, encoding: .utf8) != String(contentsOfFile: second, encoding: .utf8))
        // The catalog changes while the first is retired; brought back, it has caught up and moved nobody.
        try await site.letterOK("catalog", "delete", site.catalog, "i3")
        let deleted = site.folder["deleted"]
        try #"{"ids": ["i3"]}"#.write(toFile: deleted, atomically: false, encoding: .utf8)
        try await site.letterOK("wait", "--caught-up")
        try await site.letterOK("generation", "promote", "1")
        let back = try await site.dump(as: "back")
        try await site.python("oracle.py", "compare", first, back, "--deleted", deleted)
        try await site.python("oracle.py", "check", site.catalog, back)
        try await site.stop(SIGKILL)
        try await site.start()
        #expect(try await site.status()["generation"] as? Int == 1)
        try await site.python("oracle.py", "equal", back, try await site.dump(as: "after-kill"))
        try await site.stop()
    }

    @Test func `an index that was complete when the daemon died becomes active without a commit to the catalog`()
        async throws
    {
        let site = try await site()
        try await train(site, "one", seed: 1)
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["one"])
        let before = try await site.dump(as: "before")
        try await site.stop()
        // As it is between the index's last transaction and the registry's.
        for stage in ["building", "candidate"] {
            try await sqlite(site.state + "/letterd.sqlite", "UPDATE generation SET state = '\(stage)'")
            try await site.start()
            try await site.letterOK("wait", "--caught-up", "--timeout", "10s")
            try await site.python("oracle.py", "equal", before, try await site.dump(as: "after"))
            try await site.stop()
        }
    }

    @Test func `when the catalog gets vectors of another width a fitting model can be published and promoted`()
        async throws
    {
        let site = try await site()
        try await train(site, "one", seed: 1)
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["one"])
        let before = try await site.dump(as: "before")
        // Another catalog is moved into the place of the first one.
        let wide = site.folder["wide"]
        try await site.letterOK("catalog", "init", wide, "--dimension", "32")
        try await site.letterOK("catalog", "import", wide, "--items", site.folder["items.jsonl"], "--embed", "hashing")
        try await train(site, "fits", seed: 3, catalog: wide)
        #expect(rename(wide + "/data.mdb", site.catalog + "/data.mdb") == 0)
        try await Task.sleep(for: .milliseconds(300))
        #expect("\(try await site.status()["problems"] ?? "")".contains("daemon.dimension_mismatch"))
        try await site.python("oracle.py", "equal", before, try await site.dump(as: "meanwhile"))
        try await site.letterOK("generation", "publish", site.folder["fits"])
        try await site.letterOK("generation", "promote", "2")
        try await site.letterOK("wait", "--caught-up", "--timeout", "10s")
        let status = try await site.status()
        #expect(status["generation"] as? Int == 2)
        #expect((status["problems"] as? [Any])?.isEmpty == true, "\(status)")
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "after"))
        try await site.stop()
    }

    @Test func `a generation whose files are damaged keeps neither the daemon nor the others from working`()
        async throws
    {
        let site = try await site()
        try await train(site, "one", seed: 1)
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["one"])
        try await site.stop()
        let index = site.state + "/generations/000001/index.sqlite"
        try Data(repeating: 0x41, count: 8_192).write(to: URL(fileURLWithPath: index))
        for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: index + suffix) }
        try await site.start()
        #expect("\(try await site.status()["problems"] ?? "")".contains("store.damaged"))
        try await site.letterOK("generation", "publish", site.folder["one"])
        try await site.letterOK("generation", "promote", "2")
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "after"))
        try await site.stop()
    }

    @Test func `SIGTERM ends it in time also in the middle of a build`() async throws {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "8000", "--prefix", "item-")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        try await site.start()
        async let published = site.letter("generation", "publish", site.folder["model"])
        // In the middle of the build, or on a slow day just after it.
        while try await !site.letterOK("generation", "list", "--json").output.contains(#""number":1"#) {
            try await Task.sleep(for: .milliseconds(5))
        }
        let start = ContinuousClock.now
        #expect(try await site.stop() == 0)
        #expect(start.duration(to: .now) < .seconds(5))
        _ = try await published
        try await site.start()
        try await site.letterOK("wait", "--caught-up", "--timeout", "60s")
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "dump"))
        try await site.stop()
    }

    @Test func `SIGTERM ends the daemon in time also during a promotion, and its caller is told to try again`()
        async throws
    {
        let site = try await Site.serving(items: 200)
        try await site.letterOK("generation", "publish", site.folder["model"])
        try await site.letterOK("generation", "promote", "2")
        try await site.stop()
        try await site.python("plain_writer.py", "add", site.catalog, "40000", "--prefix", "new-")
        // Five blocks to encode for each generation, a second and more each.
        try await site.start(environment: ["LETTER_TEST_ENCODE_DELAY": "1000"])
        async let promotion = site.letter("generation", "promote", "1")
        try await Task.sleep(for: .milliseconds(1_500))
        let start = ContinuousClock.now
        #expect(try await site.stop() == 0)
        #expect(start.duration(to: .now) < .seconds(5))
        let result = try await promotion
        #expect(result.status == 75, "\(result)")
        try await site.start()
        #expect(try await site.status()["generation"] as? Int == 2)
        try await site.stop()
    }

    @Test func `a tokenizer of another catalog is published with a warning that says so`() async throws {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "400", "--prefix", "item-")
        // Codebooks that know nothing of these embeddings: nearly every item gets the same natural codes.
        try await site.python("misfit.py", site.folder["misfit.safetensors"])
        try await site.letterOK(
            "tokenizer", "import", site.folder["misfit.safetensors"], "--output", site.folder["misfit"])
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["misfit"])
        let status = try await site.status { problems($0).contains("daemon.poor_fit") }
        #expect(status["state"] as? String == "serving", "it answers all the same")
        let message = (status["problems"] as? [[String: Any]])?.first?["message"] as? String ?? ""
        #expect(message.contains("of 400 items"), "\(message)")
        try await site.stop()
        // Negative control: a tokenizer that spreads them is published without one.
        let good = try await Site.serving(items: 400)
        try await good.letterOK("wait", "--caught-up")
        try await Task.sleep(for: .milliseconds(300))
        #expect(problems(try await good.status()).isEmpty)
        try await good.stop()
    }
}
