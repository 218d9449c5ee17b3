import Foundation
import TestSupport
import Testing

/// The change log between real writers and the real daemon.
@Suite("The change log, end to end", .serialized, .timeLimit(.minutes(10)))
struct ChangeLogTests {
    /// A daemon that has caught up with a catalog of `items` items, made by cooperating writers.
    private func site(items: Int = 300) async throws -> Site {
        let site = Site()
        try await site.letterOK("catalog", "init", site.catalog, "--dimension", "24")
        try await site.python("cooperating_writer.py", "add", site.catalog, "\(items)", "--prefix", "item-")
        try await site.letterOK(
            "tokenizer", "train", "--catalog", site.catalog, "--output", site.folder["model"], "--epochs", "2",
            "--widths", "16", "--seed", "1")
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["model"])
        return site
    }

    /// Batches by full comparison and by the log, and records compared, since the daemon started.
    private struct Counts: Equatable {
        var scans: Int
        var batches: Int
        var compared: Int
    }

    private func counts(_ site: Site) async throws -> Counts {
        try await site.letterOK("wait", "--caught-up", "--timeout", "60s")
        let catalog = try #require(try await site.status()["catalog"] as? [String: Any])
        let counts = Counts(
            scans: try #require(catalog["full_scans"] as? Int),
            batches: try #require(catalog["incremental_batches"] as? Int),
            compared: try #require(catalog["records_compared"] as? Int))
        let metrics = try await Site.run(
            "/usr/bin/python3",
            ["-c", Self.fetch, SharedData.packageRoot + "/Tests/EndToEndTests/Support", site.socket, "/metrics"])
        #expect(metrics.output.contains("letter_full_scans_total \(counts.scans)\n"), "\(metrics)")
        #expect(metrics.output.contains("letter_incremental_batches_total \(counts.batches)\n"))
        #expect(metrics.output.contains("letter_records_compared_total \(counts.compared)\n"))
        return counts
    }

    private static let fetch = """
        import http.client, socket, sys
        connection = http.client.HTTPConnection("letterd")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(sys.argv[2])
        connection.request("GET", sys.argv[3])
        print(connection.getresponse().read().decode())
        """

    private func check(_ site: Site, _ name: String) async throws {
        try await site.letterOK("wait", "--caught-up", "--timeout", "60s")
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: name))
    }

    @Test func `a cooperating change costs a look at what changed; a plain one a look at everything`() async throws {
        let site = try await site(items: 2_000)
        var before = try await counts(site)
        #expect(before.compared >= 2_000)
        // One transaction of 25 items is one batch of 25 records, or a few if the daemon looked in between; never a scan.
        try await site.python("cooperating_writer.py", "add", site.catalog, "25", "--prefix", "a-")
        var after = try await counts(site)
        #expect(after == Counts(scans: before.scans, batches: before.batches + 1, compared: before.compared + 25))
        before = after
        // `letter catalog` keeps the log too.
        try await site.letterOK("catalog", "delete", site.catalog, "a-0", "a-1", "a-2")
        after = try await counts(site)
        #expect(after == Counts(scans: before.scans, batches: before.batches + 1, compared: before.compared + 3))
        before = after
        // What changes no embedding is answered for without looking at any.
        let items = site.folder["items.jsonl"]
        try #"{"id": "a-3", "title": "x"}"#.write(toFile: items, atomically: false, encoding: .utf8)
        try await site.letterOK("catalog", "put", site.catalog, "--items", items)
        after = try await counts(site)
        #expect(after == Counts(scans: before.scans, batches: before.batches + 1, compared: before.compared))
        before = after
        try await check(site, "cooperating")
        // A plain writer: everything is compared. The log has a gap then, so a second time after the next one.
        try await site.python("plain_writer.py", "add", site.catalog, "1", "--prefix", "p-")
        after = try await counts(site)
        #expect(after == Counts(scans: before.scans + 1, batches: before.batches, compared: before.compared + 2_023))
        try await site.python("cooperating_writer.py", "add", site.catalog, "1", "--prefix", "b-")
        before = try await counts(site)
        #expect(before.scans == after.scans + 1)
        try await site.python("cooperating_writer.py", "add", site.catalog, "1", "--prefix", "c-", "--seed", "2")
        after = try await counts(site)
        #expect(after == Counts(scans: before.scans, batches: before.batches + 1, compared: before.compared + 1))
        try await check(site, "mixed")
        try await site.stop()
    }

    @Test func `the position survives a kill, and another boot or another file does not pass for it`() async throws {
        let site = try await site()
        try await site.stop(SIGKILL)
        try await site.python("cooperating_writer.py", "add", site.catalog, "7", "--prefix", "a-")
        try await site.start()
        #expect(try await counts(site) == Counts(scans: 0, batches: 1, compared: 7))
        try await site.stop()
        try await site.python("cooperating_writer.py", "add", site.catalog, "5", "--prefix", "b-")
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.commit()"
        let index = site.state + "/generations/000001/index.sqlite"
        let changed = try await Site.run(
            "/usr/bin/python3", ["-c", script, index, "UPDATE cursor SET boot = 'an earlier one'"])
        #expect(changed.status == 0, "\(changed.errors)")
        try await site.start()
        #expect(try await counts(site) == Counts(scans: 1, batches: 0, compared: 312))
        try await check(site, "booted")
        // A copy in its place: the same log, the same transactions, another file.
        let copied = try await Site.run(
            "/usr/bin/python3",
            [
                "-c",
                "import lmdb, sys, os; os.mkdir(sys.argv[2]); lmdb.open(sys.argv[1], max_dbs=16).copy(sys.argv[2])",
                site.catalog, site.folder["copy"],
            ])
        #expect(copied.status == 0, "\(copied.errors)")
        #expect(rename(site.folder["copy"] + "/data.mdb", site.catalog + "/data.mdb") == 0)
        try await site.python("cooperating_writer.py", "add", site.catalog, "1", "--prefix", "c-")
        // The daemon may have looked before the writer wrote.
        let counts = try await counts(site)
        #expect(counts.scans >= 2)
        try await check(site, "moved")
        try await site.stop()
    }

    @Test func `plain and cooperating writers at once, with kills, end where the oracle is`() async throws {
        let site = try await site()
        for round in 0..<3 {
            async let first = site.python(
                "cooperating_writer.py", "mix", site.catalog, "40", "--plain", "\([0.0, 0.1, 0.5][round])", "--seed",
                "\(2 * round)")
            async let second = site.python(
                "cooperating_writer.py", "mix", site.catalog, "40", "--seed", "\(2 * round + 1)")
            try await Task.sleep(for: .milliseconds(60 * round + 30))
            try await site.stop(SIGKILL)
            try await site.start()
            _ = try await (first, second)
            try await check(site, "round-\(round)")
        }
        // Nobody without the log in a last round: told by it to the end.
        let before = try await counts(site)
        try await site.python("cooperating_writer.py", "mix", site.catalog, "30", "--seed", "99")
        let after = try await counts(site)
        #expect(after.scans <= before.scans + 1)
        #expect(after.batches > before.batches)
        try await check(site, "last")
        try await site.stop()
    }

    @Test func `deletions that the log names wait for confirmation like others, and are told again after a kill`()
        async throws
    {
        let site = try await site(items: 60)
        let before = try await site.dump(as: "before")
        let scans = try await counts(site).scans
        let ids = (0..<20).map { "item-\($0)" }
        let result = try await Site.run(
            "/usr/bin/python3",
            [SharedData.packageRoot + "/Tools/python/letter_catalog.py", "delete", site.catalog] + ids)
        #expect(result.status == 0, "\(result.errors)")
        try await site.python("cooperating_writer.py", "add", site.catalog, "2", "--prefix", "a-")
        try await held(site)
        let answers = try await site.dump(as: "held")
        try await site.python("oracle.py", "compare", before, answers, "--added", try added(site, ["a-0", "a-1"]))
        // The position stays before what is held: it is told again, with what came after it, also to another process.
        try await site.stop(SIGKILL)
        try await site.start()
        try await held(site)
        try await site.letterOK("catalog", "confirm")
        #expect(try await counts(site).scans == 0)
        try await check(site, "confirmed")
        #expect(try await site.status()["tombstones"] as? Int == 20)
        #expect(scans == 1)
        try await site.stop()
    }

    private func held(_ site: Site) async throws {
        for _ in 0..<600 {
            if "\(try await site.status()["problems"] ?? "")".contains("daemon.deletions_held") { return }
            try await Task.sleep(for: .milliseconds(25))
        }
        Issue.record("nothing is held: \(try await site.status())")
    }

    private func added(_ site: Site, _ ids: [String]) throws -> String {
        let path = site.folder["added.json"]
        try JSONSerialization.data(withJSONObject: ["ids": ids]).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func `a wrong catalog in the place of the right one, held for its deletions, leaves nothing when it is gone`()
        async throws
    {
        let site = try await site(items: 60)
        let before = try await site.dump(as: "before")
        // Half of the items, with other vectors.
        let wrong = site.folder["wrong"]
        try await site.letterOK("catalog", "init", wrong, "--dimension", "24")
        try await site.python("cooperating_writer.py", "add", wrong, "30", "--prefix", "item-", "--seed", "5")
        #expect(rename(site.catalog + "/data.mdb", site.folder["kept.mdb"]) == 0)
        #expect(rename(wrong + "/data.mdb", site.catalog + "/data.mdb") == 0)
        try await held(site)
        #expect(try await site.status()["stale"] as? Int ?? 0 > 0)
        // The right one comes back as it was: no commit, the same file, the version that the index once answered.
        #expect(rename(site.folder["kept.mdb"], site.catalog + "/data.mdb") == 0)
        try await check(site, "after")
        #expect(try await site.status()["stale"] as? Int == 0)
        try await site.python("oracle.py", "equal", before, site.folder["after"])
        try await site.stop()
    }
}
