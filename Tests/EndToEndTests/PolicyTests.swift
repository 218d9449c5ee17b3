import Files
import Foundation
import TestSupport
import Testing

/// Collision and edit policies, as an operator sets them.
@Suite("Policies, end to end", .timeLimit(.minutes(10)))
struct PolicyEndToEndTests {
    @Test(arguments: ["reassign", "suffix", "share"])
    func `a policy holds for its generation, whatever comes and whatever is configured later`(
        policy: String
    ) async throws {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "300", "--prefix", "item-")
        // The same vectors once more: buckets of two and more.
        try await site.python("plain_writer.py", "add", site.catalog, "300", "--prefix", "twin-", "--noise", "0")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        let configuration = try configure(site, "collision_policy: \(policy)\non_edit: reassign\n")
        try await site.start("--config", configuration)
        try await site.letterOK("generation", "publish", site.folder["model"])
        try await site.letterOK("wait", "--caught-up")
        let first = try await site.dump(as: "first")
        try await site.python("oracle.py", "check", site.catalog, first, "--policy", policy)
        try await site.python("oracle.py", "answers", first, site.socket)
        try await expectCollisions(site, policy)

        let added = try site.save(
            try await site.python(
                "plain_writer.py", "add", site.catalog, "60", "--seed", "2", "--noise", "0"), as: "added")
        let edited = try site.save(
            try await site.python("plain_writer.py", "edit", site.catalog, "80", "--seed", "3"), as: "edited")
        let deleted = try site.save(
            try await site.python("plain_writer.py", "delete", site.catalog, "50", "--seed", "4"), as: "deleted")
        try await site.letterOK("wait", "--caught-up")
        let second = try await site.dump(as: "second")
        try await site.python("oracle.py", "check", site.catalog, second, "--policy", policy)
        try await site.python("oracle.py", "answers", second, site.socket)
        let compared = try await site.python(
            "oracle.py", "compare", first, second, "--added", added, "--edited", edited, "--deleted", deleted,
            "--reassigned", "--policy", policy)
        // Half a vector's length away most items get other codes; under `on_edit: reassign` they get another identifier.
        let changed = try #require((try compared.json() as? [String: Any])?["changed"] as? Int)
        #expect(changed > 20)
        let status = try await site.status()
        #expect(status["stale"] as? Int == 0)
        #expect(status["tombstones"] as? Int ?? 0 >= 50 + changed)

        // After a death, and with another policy configured, the generation goes on as it began.
        #expect(try await site.stop(SIGKILL) == SIGKILL)
        let other = policy == "suffix" ? "share" : "suffix"
        try await site.start("--config", try configure(site, "collision_policy: \(other)\n"))
        try await site.letterOK("wait", "--caught-up")
        try await site.python("oracle.py", "equal", second, try await site.dump(as: "third"))
        #expect(site.logText.contains("keeps its collision policy"))
        try await site.python("plain_writer.py", "add", site.catalog, "40", "--seed", "5", "--noise", "0")
        try await site.python("plain_writer.py", "edit", site.catalog, "40", "--seed", "6")
        try await site.letterOK("wait", "--caught-up")
        let fourth = try await site.dump(as: "fourth")
        try await site.python("oracle.py", "check", site.catalog, fourth, "--policy", policy)
        try await site.python("oracle.py", "answers", fourth, site.socket)
        // `on_edit` is back at its default: who is edited now keeps what it has.
        #expect(try await site.status()["stale"] as? Int ?? 0 > 10)

        // The next generation is made under what is configured now.
        try await site.letterOK("generation", "publish", site.folder["model"])
        let list = try #require(
            try await site.letterOK("generation", "list", "--json").json() as? [String: Any])
        let generations = try #require(list["generations"] as? [[String: Any]])
        #expect(generations.compactMap { $0["collision_policy"] as? String } == [policy, other])
        #expect(
            generations.compactMap { $0["identifier_length"] as? Int }
                == [policy, other].map { $0 == "suffix" ? 5 : 4 })
        try await site.letterOK("generation", "promote", "2")
        try await site.letterOK("wait", "--caught-up")
        let fifth = try await site.dump(as: "fifth")
        try await site.python("oracle.py", "check", site.catalog, fifth, "--policy", other)
        try await site.python("oracle.py", "answers", fifth, site.socket)
        #expect(try await site.stop() == 0)
    }

    @Test func `a first build is balanced as the published code balances a file, and later items follow the policy`()
        async throws
    {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "1500", "--prefix", "item-")
        // So near that many have the same natural codes.
        try await site.python(
            "plain_writer.py", "add", site.catalog, "1500", "--prefix", "near-", "--noise", "0.1", "--seed", "2")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        try await site.python("catalog_vectors.py", site.catalog, site.folder["vectors.npy"], site.folder["ids.txt"])
        try await site.letterOK(
            "tokenizer", "encode", site.folder["model"], "--embeddings", site.folder["vectors.npy"], "--output",
            site.folder["codes.npy"], "--balance")
        let codes = try NumPyFile(site.folder["codes.npy"])
        let values = try codes.integers()
        let ids = try String(contentsOfFile: site.folder["ids.txt"], encoding: .utf8).split(separator: "\n").map(
            String.init)
        let balanced = Dictionary(
            uniqueKeysWithValues: ids.enumerated().map { ($1, Array(values[(4 * $0)..<(4 * $0 + 4)])) })

        try await site.start("--config", try configure(site, "balance_first_build: true\n"))
        try await site.letterOK("generation", "publish", site.folder["model"])
        try await site.letterOK("wait", "--caught-up")
        let first = try await site.dump(as: "first")
        try await site.python("oracle.py", "check", site.catalog, first)
        var given: [String: [Int]] = [:]
        for line in try String(contentsOfFile: first, encoding: .utf8).split(separator: "\n") {
            let row = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            given[try #require(row["item"] as? String)] = row["codes"] as? [Int]
        }
        let owners = Dictionary(grouping: ids) { balanced[$0] ?? [] }
        let alone = owners.filter { $1.count == 1 }.flatMap(\.value)
        #expect(alone.count > 2_900)
        #expect(alone.filter { given[$0] != balanced[$0] } == [])
        let answer = try #require(
            try await site.letterOK("collisions", "--limit", "1000", "--json").json() as? [String: Any])
        let rows = try #require(answer["collisions"] as? [[String: Any]])
        #expect(rows.count { $0["rule"] as? String == "balanced" } > 20)

        try await site.python("plain_writer.py", "add", site.catalog, "100", "--seed", "3", "--noise", "0")
        try await site.letterOK("wait", "--caught-up")
        let second = try await site.dump(as: "second")
        try await site.python("oracle.py", "check", site.catalog, second)
        for line in try String(contentsOfFile: first, encoding: .utf8).split(separator: "\n") {
            #expect(try String(contentsOfFile: second, encoding: .utf8).contains(line))
        }
        try await site.stop()
    }

    @Test func `an index that was begun with another arithmetic is told of, and answers all the same`() async throws {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "50")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["model"])
        try await site.letterOK("wait", "--caught-up")
        let dump = try await site.dump(as: "first")
        let script = """
            import sqlite3, sys
            index = sqlite3.connect(sys.argv[1])
            print(index.execute("SELECT value FROM fact WHERE name = 'kernel'").fetchone()[0])
            index.execute("UPDATE fact SET value = ? WHERE name = 'kernel'", [sys.argv[2]])
            index.commit()
            """
        var present = ""
        for (arithmetic, problems) in [("SkylakeX", ["daemon.other_arithmetic"]), ("", [])] {
            try await site.stop()
            let index = site.state + "/generations/000001/index.sqlite"
            let before = try await Site.run(
                "/usr/bin/python3", ["-c", script, index, arithmetic.isEmpty ? present : arithmetic])
            #expect(before.status == 0, "\(before.errors)")
            if present.isEmpty { present = before.output.trimmingCharacters(in: .whitespacesAndNewlines) }
            try await site.start()
            try await site.letterOK("wait", "--caught-up")
            let status = try await site.status()
            #expect((status["problems"] as? [[String: Any]])?.compactMap { $0["code"] as? String } == problems)
            #expect(status["state"] as? String == "serving")
            try await site.python("oracle.py", "equal", dump, try await site.dump(as: "dump-\(arithmetic)"))
        }
        try await site.stop()
    }

    private func configure(_ site: Site, _ text: String) throws -> String {
        try text.write(toFile: site.folder["letterd.yaml"], atomically: false, encoding: .utf8)
        return site.folder["letterd.yaml"]
    }

    /// Every item whose natural codes another had is listed with the rule that decided.
    private func expectCollisions(_ site: Site, _ policy: String) async throws {
        let answer = try #require(
            try await site.letterOK("collisions", "--limit", "1000", "--json").json() as? [String: Any])
        let rows = try #require(answer["collisions"] as? [[String: Any]])
        #expect(rows.count >= 100)
        #expect(try await site.status()["collisions"] as? Int == rows.count)
        let rules = Set(rows.compactMap { $0["rule"] as? String })
        switch policy {
        case "suffix": #expect(rules == ["suffix"])
        case "share": #expect(rules == ["shared"])
        default: #expect(rules.isSubset(of: ["nearest_free", "next_prefix"]))
        }
        // A table for people shows all items of an identifier.
        guard policy == "share", let given = rows[0]["given"] as? [Int], let item = rows[0]["item"] as? String else {
            return
        }
        let text = given.map(String.init).joined(separator: "-")
        let found = try await site.letterOK("identifier", text)
        #expect(found.output.contains(item))
        let json = try #require(try await site.letterOK("identifier", text, "--json").json() as? [[String: Any]])
        #expect((json[0]["items"] as? [String])?.count ?? 0 >= 2)
    }
}
