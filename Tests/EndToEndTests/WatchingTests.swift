import Foundation
import TestSupport
import Testing

/// What other processes do to the catalog while the daemon reads it: nothing is missed, and nobody is held up.
@Suite("Watching, end to end", .serialized, .timeLimit(.minutes(10)))
struct WatchingTests {
    @Test(arguments: [false, true])
    func `each commit of a plain writer is seen within two looks and two scans, however it syncs`(writemap: Bool)
        async throws
    {
        let site = try await Site.serving(items: 100)
        // The script compares the daemon's counters before and after each of its commits, and ends at the first miss.
        var arguments = ["follow", site.catalog, site.socket, "--rounds", "\(tortureFactor)"]
        if writemap { arguments.append("--writemap") }
        let result = try await Site.run("/usr/bin/python3", [Site.scripts + "faults.py"] + arguments)
        #expect(result.status == 0, "\(result.output) \(result.errors)")
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "after"))
        // Negative control: a daemon that does not look is found out by the same script.
        kill(site.pid, SIGSTOP)
        let stopped = try await Site.run(
            "/usr/bin/timeout", ["3", "/usr/bin/python3", Site.scripts + "faults.py"] + arguments)
        kill(site.pid, SIGCONT)
        #expect(stopped.status != 0)
        #expect(try await site.stop() == 0)
    }

    @Test func `a file moved into the catalog's place is opened anew, and followed from then on`() async throws {
        let site = try await Site.serving(items: 80)
        let before = try await site.lines()
        // The copy is compacted: its transaction numbers begin anew, below the one that was answered.
        let replaced = try await site.answer("faults.py", "replace", site.catalog, "in-the-copy")
        let old = try #require((try await site.status()["catalog"] as? [String: Any])?["txnid"] as? Int)
        try await site.letterOK("wait", "--caught-up")
        try await site.status { $0["items"] as? Int == 81 }
        let after = try await site.lines()
        #expect(after.isSuperset(of: before) && after.count == 81)
        #expect(try #require(replaced["txnid"] as? Int) < 10 || old > 0)
        try await site.python("plain_writer.py", "add", site.catalog, "4", "--prefix", "later-")
        try await site.letterOK("wait", "--caught-up")
        #expect(try await site.status()["items"] as? Int == 85)
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "after"))
        #expect(try await site.stop() == 0)
    }

    @Test func `a writer that grows the map is followed`() async throws {
        let site = Site()
        let (small, large) = ("\(1 << 20)", "\(64 << 20)")
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384", "--map-size", small)
        try await site.python("plain_writer.py", "add", site.catalog, "100", "--map-size", small)
        try await site.letterOK("tokenizer", "import", frozenTokenizer, "--output", site.folder["model"])
        try await site.start()
        try await site.letterOK("generation", "publish", site.folder["model"])
        let before = try await site.answer("faults.py", "sizes", site.catalog)
        #expect(before["map"] as? Int == 1 << 20)
        try await site.python(
            "plain_writer.py", "add", site.catalog, "2000", "--prefix", "grown-", "--map-size", large)
        // Negative control: the daemon's own map is too small for what is there now.
        let after = try await site.answer("faults.py", "sizes", site.catalog)
        #expect(try #require(after["file"] as? Int) > 2 << 20 && after["map"] as? Int == 64 << 20)
        try await site.letterOK("wait", "--caught-up")
        #expect(try await site.status()["items"] as? Int == 2_100)
        try await site.python("oracle.py", "check", site.catalog, try await site.dump(as: "after"))
        #expect(try await site.stop() == 0)
    }

    @Test func `a full reader table is told in the status, not hammered at, and got over`() async throws {
        let site = try await Site.serving(items: 50)
        for ending in ["released", "killed"] {
            let holder = try Helper(site, "faults.py", "hold", site.catalog, "126", "--commit")
            #expect(try await holder.ready()["held"] as? Int == 126)
            let full = try await site.status { problems($0).contains("catalog.readers_full") }
            #expect(full["state"] as? String == "degraded")
            #expect(full["caught_up"] as? Bool == false)
            // It answers from what it knows meanwhile, and tries ever more seldom: 20 looks a second would be normal.
            #expect(try await site.letter("item", "item-1").status == 0)
            let looks = try #require((full["poll"] as? [String: Any])?["count"] as? Int)
            try await Task.sleep(for: .seconds(3))
            let later = try #require((try await site.status()["poll"] as? [String: Any])?["count"] as? Int)
            #expect(later - looks <= 12, "\(later - looks) looks in three seconds")
            if ending == "released" { try await holder.finish() } else { try await holder.kill() }
            try await site.letterOK("wait", "--caught-up", "--timeout", "30s")
            try await site.status { problems($0).isEmpty && $0["state"] as? String == "serving" }
            #expect(try await site.letter("item", "while-held").status == 0)
        }
        #expect(try await site.stop() == 0)
    }

    @Test func `snapshots of readers that were killed are let go of`() async throws {
        let site = Site()
        try "reader_check_interval: 500\n".write(toFile: site.folder["c.yaml"], atomically: false, encoding: .utf8)
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        try await site.python("plain_writer.py", "add", site.catalog, "20")
        try await site.start("--config", site.folder["c.yaml"])
        let holder = try Helper(site, "faults.py", "hold", site.catalog, "1")
        let pid = try #require(try await holder.ready()["pid"] as? Int)
        func isHeld() async throws -> Bool {
            let table = try await site.answer("faults.py", "readers", site.catalog)["readers"] as? [[Any]]
            return try #require(table).contains { $0[0] as? Int == pid && !($0[1] is NSNull) }
        }
        // Negative control: while the daemon stands still, nobody clears it.
        kill(site.pid, SIGSTOP)
        try await holder.kill()
        try await Task.sleep(for: .seconds(1))
        #expect(try await isHeld())
        kill(site.pid, SIGCONT)
        let deadline = ContinuousClock.now + .seconds(20)
        var held = true
        while held, ContinuousClock.now < deadline { held = try await isHeld() }
        #expect(!held)
        #expect(try await site.stop() == 0)
    }

    @Test func `the daemon's snapshots are short, and the catalog's file does not grow by them`() async throws {
        let commits = "\(250 * tortureFactor)"
        // Alone, beside the daemon, and beside a reader that keeps a snapshot: the control.
        let site = try await Site.serving(items: 1_000)
        let watch = try Helper(site, "faults.py", "watch", site.catalog, "\(site.pid)")
        try await watch.ready()
        let beside = try #require(try await site.answer("faults.py", "spin", site.catalog, commits)["grown"] as? Int)
        let samples = try await watch.finish()
        try await site.letterOK("wait", "--caught-up", "--timeout", "60s")
        #expect(try await site.stop() == 0)
        let alone = try #require(try await site.answer("faults.py", "spin", site.catalog, commits)["grown"] as? Int)
        let holder = try Helper(site, "faults.py", "hold", site.catalog, "1")
        try await holder.ready()
        let held = try #require(try await site.answer("faults.py", "spin", site.catalog, commits)["grown"] as? Int)
        try await holder.finish()
        // The samples saw the daemon's snapshots, and none of them for long.
        #expect(try #require(samples["with_snapshot"] as? Int) > 0, "\(samples)")
        #expect(try #require(samples["longest"] as? Double) < 2, "\(samples)")
        #expect(held > 3_000 && held > 3 * beside, "held \(held), beside the daemon \(beside), alone \(alone) pages")
    }

    @Test func `no snapshot is held while vectors are encoded or a client is slow`() async throws {
        let site = try await Site.serving(items: 300, environment: ["LETTER_TEST_ENCODE_DELAY": "2000"])
        // Encoding one block takes two seconds now; comparing and reading take milliseconds.
        var watch = try Helper(site, "faults.py", "watch", site.catalog, "\(site.pid)")
        try await watch.ready()
        try await site.python("plain_writer.py", "add", site.catalog, "5", "--prefix", "slow-")
        try await site.status { $0["lag_transactions"] as? Int ?? 0 > 0 }
        try await site.letterOK("wait", "--caught-up")
        var samples = try await watch.finish()
        #expect(try #require(samples["longest"] as? Double) < 1, "\(samples)")
        // A client that asks for a dump and does not read it.
        let client = try Helper(site, "slow_client.py", site.socket)
        try await client.ready()
        watch = try Helper(site, "faults.py", "watch", site.catalog, "\(site.pid)")
        try await watch.ready()
        try await Task.sleep(for: .seconds(1))
        samples = try await watch.finish()
        #expect(samples["with_snapshot"] as? Int == 0, "\(samples)")
        // Negative control: the same watch sees a snapshot that is held.
        let holder = try Helper(site, "faults.py", "hold", site.catalog, "1")
        let pid = try #require(try await holder.ready()["pid"] as? Int)
        watch = try Helper(site, "faults.py", "watch", site.catalog, "\(pid)")
        try await watch.ready()
        try await Task.sleep(for: .milliseconds(1_500))
        samples = try await watch.finish()
        #expect(try #require(samples["longest"] as? Double) > 1, "\(samples)")
        try await holder.finish()
        try await client.finish()
        #expect(try await site.stop() == 0)
    }
}
