import Foundation
import TestSupport
import Testing

@Suite("Care of the index", .timeLimit(.minutes(5)))
struct IndexCareTests {
    /// A site with an active generation whose items collided, changed and went.
    private func site() async throws -> (site: Site, dump: String) {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "400", "--prefix", "item-")
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["model"])
        // Nearly the vectors of others, so that many collide.
        try await site.python("plain_writer.py", "add", site.catalog, "80", "--seed", "2", "--noise", "0.001")
        try await site.letterOK("wait", "--caught-up")
        try await site.python("plain_writer.py", "edit", site.catalog, "30", "--seed", "3", "--noise", "1")
        try await site.python("plain_writer.py", "delete", site.catalog, "30", "--seed", "4")
        try await site.letterOK("wait", "--caught-up")
        let status = try await site.status()
        #expect(status["collisions"] as? Int ?? 0 > 20, "without collisions this proves little")
        #expect(status["stale"] as? Int ?? 0 > 10)
        #expect(status["tombstones"] as? Int == 30)
        return (site, try await site.dump(as: "before"))
    }

    private func index(_ site: Site) -> String { site.state + "/generations/000001/index.sqlite" }

    private func checks(_ result: Site.Result) throws -> [[String: Any]] {
        let answer = try #require(try result.json() as? [String: Any])
        return try #require(answer["checks"] as? [[String: Any]])
    }

    private func expectWell(_ site: Site, at location: SourceLocation = #_sourceLocation) async throws {
        for verb in [["doctor", "--deep", "--json"], ["index", "verify", "--json"], ["doctor", "--json"]] {
            let result = try await site.letter(arguments: verb)
            let failed = try checks(result).filter { $0["outcome"] as? String != "ok" }
            #expect(result.status == 0 && failed.isEmpty, "\(verb): \(failed)", sourceLocation: location)
        }
    }

    /// The daemon stays up, says what is wrong, and answers nothing.
    private func expectRefused(_ site: Site, _ code: String, at location: SourceLocation = #_sourceLocation)
        async throws
    {
        let status = try await site.status()
        let problems = try #require(status["problems"] as? [[String: Any]])
        let problem = problems.first { $0["code"] as? String == code }
        #expect(problem != nil, "\(problems)", sourceLocation: location)
        #expect(
            (problem?["remedy"] as? String)?.contains("letter index rebuild") == true, "\(problems)",
            sourceLocation: location)
        let answer = try await site.letter("trie", "next", "", "--json")
        #expect(answer.status == 69 && answer.errors.contains(code), "\(answer)", sourceLocation: location)
        let doctor = try await site.letter("doctor", "--json")
        #expect(doctor.status == 1, sourceLocation: location)
        let failed = try checks(doctor).filter { $0["outcome"] as? String == "failed" }
        #expect(!failed.isEmpty && failed.allSatisfy { $0["remedy"] != nil }, "\(failed)", sourceLocation: location)
    }

    private func rebuild(_ site: Site, at location: SourceLocation = #_sourceLocation) async throws {
        let result = try await site.letterOK("index", "rebuild", "--state", site.state, "--json", at: location)
        let answer = try #require(try result.json() as? [String: Any])
        #expect(answer["complete"] as? Bool == true, "\(answer)", sourceLocation: location)
        #expect(answer["items"] as? Int == 450, "\(answer)", sourceLocation: location)
        #expect(answer["tombstones"] as? Int == 30, "\(answer)", sourceLocation: location)
    }

    @Test func `a lost index is refused, made again with the same identifiers, and goes on`() async throws {
        let (site, before) = try await site()
        try await expectWell(site)
        // Not while the daemon has it.
        let busy = try await site.letter("index", "rebuild", "--state", site.state)
        #expect(busy.status == 1 && busy.errors.contains("generations.state_in_use"), "\(busy)")
        try await site.stop(SIGKILL)
        for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: index(site) + suffix) }
        try await site.start()
        try await expectRefused(site, "index.older_than_journal")
        try await site.stop()
        try await rebuild(site)
        // What came meanwhile is taken up like anything else.
        let added = try site.save(
            try await site.python("plain_writer.py", "add", site.catalog, "40", "--seed", "5", "--noise", "0.001"),
            as: "added")
        try await site.start()
        try await site.letterOK("wait", "--caught-up", "--timeout", "60s")
        let after = try await site.dump(as: "after")
        try await site.python("oracle.py", "compare", before, after, "--added", added)
        try await site.python("oracle.py", "check", site.catalog, after)
        let status = try await site.status()
        #expect(status["stale"] as? Int ?? 0 > 10, "edited items are stale again")
        try await expectWell(site)
        try await site.stop()
    }

    @Test func `a damaged index is refused after a kill and after a clean end, and made again`() async throws {
        let (site, before) = try await site()
        // So that the file has what its write-ahead log had.
        try await site.stop()
        try await site.start()
        try await site.letterOK("wait", "--caught-up")
        for signal in [SIGKILL, SIGTERM] {
            try await site.stop(signal)
            let file = try #require(FileHandle(forUpdatingAtPath: index(site)))
            try file.seek(toOffset: 4_096 * 5)
            try file.write(contentsOf: Data(repeating: 0x5A, count: 4_096 * 8))
            try file.close()
            try await site.start()
            try await expectRefused(site, "store.damaged")
            try await site.stop()
            try await rebuild(site)
            try await site.start()
            try await site.letterOK("wait", "--caught-up", "--timeout", "60s")
            try await site.python("oracle.py", "equal", before, try await site.dump(as: "after-\(signal)"))
            try await expectWell(site)
        }
        try await site.stop()
    }

    @Test func `what two tables contradict each other about is found by verify`() async throws {
        let (site, _) = try await site()
        try await site.stop()
        let spoil = """
            import sqlite3, sys
            db = sqlite3.connect(sys.argv[1])
            db.execute("UPDATE trie_node SET items = items + 1 WHERE prefix = x''")
            db.execute("UPDATE item SET digest = zeroblob(16) WHERE id = (SELECT min(id) FROM item)")
            db.commit()
            """
        let result = try await Site.run("/usr/bin/python3", ["-c", spoil, index(site)])
        #expect(result.status == 0, "\(result.errors)")
        try await site.start()
        try await site.letterOK("wait", "--caught-up")
        let verify = try await site.letter("index", "verify", "--json")
        #expect(verify.status == 1)
        let failed = try checks(verify).filter { $0["outcome"] as? String == "failed" }.map { "\($0["name"] ?? "")" }
        #expect(failed.contains("trie") && failed.contains("catalog"), "\(failed)")
        #expect(try await site.letter("doctor", "--json").status == 0, "only the deep look sees it")
        #expect(try await site.letter("doctor", "--deep", "--json").status == 1)
        try await site.stop()
    }

    @Test func `the files are checked after a kill and not after a clean end`() async throws {
        let (site, _) = try await site()
        try await site.stop()
        func checked() -> Int { site.logText.components(separatedBy: "was not closed cleanly").count - 1 }
        #expect(checked() == 0, "\(site.logText)")
        try await site.start()
        try await site.letterOK("wait", "--caught-up")
        try await site.stop(SIGKILL)
        #expect(checked() == 0, "\(site.logText)")
        try await site.start()
        try await site.letterOK("wait", "--caught-up")
        #expect(checked() == 2, "the registry and the index: \(site.logText)")
        try await expectWell(site)
        try await site.stop()
    }
}
