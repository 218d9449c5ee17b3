import Foundation
import TestSupport
import Testing

/// Records and keys of every kind: what cannot be encoded is kept apart with its reason, and no byte of a key is lost.
@Suite("Records and keys, end to end", .serialized, .timeLimit(.minutes(10)))
struct RecordTests {
    private static let seeds = Array(1...(2 * tortureFactor))

    /// Reasons of the quarantined items.
    private func quarantine(_ site: Site) async throws -> [String: String] {
        let script = """
            import json, sys
            sys.path.insert(0, sys.argv[1])
            from control_socket import Control
            from corpus import pages
            rows = pages(Control(sys.argv[2]), "/v1/quarantine", "quarantined")
            print(json.dumps({row["item"]: row["reason"].split(":")[0] for row in rows}))
            """
        let result = try await Site.run("/usr/bin/python3", ["-c", script, Site.scripts, site.socket])
        return try #require(result.json() as? [String: String], "\(result.errors)")
    }

    @Test(arguments: seeds)
    func `bad records of every kind are quarantined with their reason, and assigned once they are mended`(seed: Int)
        async throws
    {
        let site = try await Site.serving(items: 40)
        let before = try await site.lines()
        let result = try await site.python("corpus.py", "spoil", site.catalog, "150", "--seed", "\(seed)")
        let file = try site.save(result, as: "expected")
        let expected = try #require(result.json() as? [String: Any])
        let bad = expected.compactMapValues { $0 as? String }
        #expect(Set(bad.values) == ["wrong_size", "not_finite", "not_encodable"])
        try await site.letterOK("wait", "--caught-up")
        #expect(try await quarantine(site) == bad, "seed \(seed)")
        var status = try await site.status()
        #expect(status["quarantined"] as? Int == bad.count)
        #expect(status["items"] as? Int == 40 + expected.count - bad.count)
        #expect(problems(status).isEmpty)
        // They stay where they are through a restart, and nobody else was touched.
        #expect(try await site.stop() == 0)
        try await site.start()
        try await site.letterOK("wait", "--caught-up")
        #expect(try await quarantine(site) == bad)
        #expect(try await site.lines().isSuperset(of: before))
        try await site.python("corpus.py", "mend", site.catalog, file)
        try await site.letterOK("wait", "--caught-up")
        status = try await site.status()
        #expect(status["quarantined"] as? Int == 0)
        #expect(status["items"] as? Int == 40 + expected.count)
        #expect(try await quarantine(site).isEmpty)
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "mended"))
        #expect(try await site.stop() == 0)
    }

    @Test(arguments: seeds)
    func `keys of any bytes and every length come back exactly, wherever they are named`(seed: Int) async throws {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("corpus.py", "keys", site.catalog, "240", "--seed", "\(seed)")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["model"])
        let answers = try await site.answer(
            "corpus.py", "ask", site.catalog, site.socket, "--letter", Site.products + "/letter")
        for kind in ["good", "bad", "collisions"] { #expect(try #require(answers[kind] as? Int) > 20, "\(answers)") }
        try await site.python("oracle.py", "answers", try await site.dump(as: "dump"), site.socket)
        #expect(try await site.stop() == 0)
    }

    @Test(arguments: [1, 2_000])
    func `a record that ends the encoder is found within three restarts and quarantined, and the others go on`(
        others: Int
    ) async throws {
        let site = try await Site.serving(items: 60)
        let before = try await site.lines()
        #expect(try await site.stop() == 0)
        // The poison lies in the middle of the others, in one block with them.
        try await site.python("plain_writer.py", "add", site.catalog, "\(others)", "--prefix", "new-")
        let poison = "new-\(others / 2)"
        let environment = ["LETTER_TEST_POISON": poison]
        var restarts = 0
        try site.launch(environment: environment)
        let deadline = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < deadline {
            if site.endedBy != nil {
                restarts += 1
                guard restarts <= 4 else { break }
                try site.launch(environment: environment)
            }
            let answer = try await site.letter("status", "--json")
            if answer.status == 0, (try answer.json() as? [String: Any])?["caught_up"] as? Bool == true { break }
            try await Task.sleep(for: .milliseconds(10))
        }
        // Negative control: the poison did end it.
        #expect((1...3).contains(restarts), "\(restarts) restarts \(site.logText)")
        let status = try await site.status { $0["caught_up"] as? Bool == true }
        #expect(status["items"] as? Int == 60 + others - 1)
        #expect(status["quarantined"] as? Int == 1)
        #expect(try await quarantine(site) == [poison: "crashed_encoder"])
        #expect(try await site.lines().isSuperset(of: before))
        // It is not tried again until it changes; a change of its record takes it out.
        try await site.python("plain_writer.py", "add", site.catalog, "3", "--prefix", "later-")
        try await site.letterOK("wait", "--caught-up")
        #expect(site.endedBy == nil)
        #expect(try await site.stop() == 0)
        try await site.start()
        try await site.letterOK("wait", "--caught-up")
        #expect(try await quarantine(site) == [poison: "crashed_encoder"])
        try await site.python("plain_writer.py", "edit", site.catalog, "--ids", poison)
        try await site.letterOK("wait", "--caught-up")
        #expect(try await quarantine(site).isEmpty)
        #expect(try await site.status()["items"] as? Int == 60 + others + 3)
        #expect(try await site.stop() == 0)
    }

    @Test func `a kill while a block is encoded accuses no record`() async throws {
        let site = try await Site.serving(items: 20)
        #expect(try await site.stop() == 0)
        try await site.start(environment: ["LETTER_TEST_ENCODE_DELAY": "60000"])
        try await site.python("plain_writer.py", "add", site.catalog, "1", "--prefix", "one-")
        try await site.status { $0["lag_transactions"] as? Int ?? 0 > 0 }
        try await Task.sleep(for: .milliseconds(500))
        #expect(try await site.stop(SIGKILL) == SIGKILL)
        try await site.start()
        try await site.letterOK("wait", "--caught-up")
        #expect(try await quarantine(site).isEmpty)
        #expect(try await site.status()["items"] as? Int == 21)
        #expect(try await site.stop() == 0)
    }
}
