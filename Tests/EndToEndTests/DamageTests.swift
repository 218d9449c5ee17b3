import Foundation
import TestSupport
import Testing

/// A catalog that is damaged, gone, closed to the daemon or of another format: the daemon stays up, says what is wrong
/// and what to do, deletes nothing, and goes on by itself once it is mended.
@Suite("A catalog that cannot be trusted, end to end", .serialized, .timeLimit(.minutes(10)))
struct DamageTests {
    private static let kinds = [
        "zero", "half", "noise", "swap", "stale", "header", "node", "offset", "meta", "truncate",
    ]

    /// A catalog and a state that were brought up to date and closed in order.
    private func closedSite(items: Int) async throws -> (site: Site, lines: Set<Substring>) {
        let site = try await Site.serving(items: items)
        let lines = try await site.lines()
        #expect(try await site.stop() == 0)
        return (site, lines)
    }

    /// A copy of a closed site. Its catalog is another file, so that the daemon compares all of it.
    private func copy(_ site: Site) throws -> Site {
        let copy = Site()
        try FileManager.default.copyItem(atPath: site.catalog, toPath: copy.catalog)
        try FileManager.default.copyItem(atPath: site.state, toPath: copy.state)
        return copy
    }

    /// Starts the daemon as a service manager would: again when a signal ended it. Returns the status at which it stays,
    /// and how often it was started again.
    private func supervise(_ site: Site, at location: SourceLocation = #_sourceLocation) async throws -> (
        status: [String: Any], restarts: Int
    ) {
        var restarts = 0
        try site.launch()
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if site.endedBy != nil {
                restarts += 1
                guard restarts <= 3 else { break }
                try site.launch()
            }
            let answer = try await site.letter("status", "--json")
            if answer.status == 0, let status = try answer.json() as? [String: Any] {
                let isAnswered = status["caught_up"] as? Bool == true
                // A failed scan is followed by the verification; its word is the last one.
                let isTold = problems(status).contains { $0.hasPrefix("catalog.") || $0 == "daemon.deletions_held" }
                if isAnswered || isTold {
                    try await Task.sleep(for: .milliseconds(150))
                    if site.endedBy == nil { return (try await site.status(), restarts) }
                }
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("no end of it: \(site.logText)", sourceLocation: location)
        return ([:], restarts)
    }

    @Test func `whatever page is damaged, at most one restart leads to a daemon that says so and has lost nobody`()
        async throws
    {
        let (whole, lines) = try await closedSite(items: 400)
        let rounds = Int(ProcessInfo.processInfo.environment["LETTER_CORRUPTIONS"] ?? "") ?? 20
        var told = 0
        var restarted = 0
        for round in 0..<rounds {
            let kind = Self.kinds[round % Self.kinds.count]
            let seed = round / Self.kinds.count + 1
            let site = try copy(whole)
            let what = try await site.answer("catalog_damage.py", site.catalog, kind, "--seed", "\(seed)")
            let (status, restarts) = try await supervise(site)
            #expect(restarts <= 1, "\(what) \(site.logText)")
            restarted += restarts
            let after = try await site.lines()
            #expect(lines.isSubset(of: after), "lost \(lines.subtracting(after).count): \(what) \(status)")
            if status["caught_up"] as? Bool != true {
                #expect(status["state"] as? String == "degraded", "\(what) \(status)")
                told += 1
            }
            #expect(try await site.stop() == 0)
        }
        print("damage: \(rounds) files, \(told) told as damaged, \(restarted) restarts")
        // Some bits are nobody's; most are not. And the damage is real: without it, the same copies are answered.
        #expect(told * 10 >= rounds * 6, "\(told) of \(rounds)")
        let (status, restarts) = try await supervise(try copy(whole))
        #expect(status["caught_up"] as? Bool == true && restarts == 0)
    }

    @Test func `after a kill a damaged catalog is found by a child, told with its remedy, and mended by another file`()
        async throws
    {
        let (whole, lines) = try await closedSite(items: 300)
        let site = try copy(whole)
        try await site.start()
        try await site.letterOK("wait", "--caught-up")
        try await site.stop(SIGKILL)
        _ = try await site.answer("catalog_damage.py", site.catalog, "noise", "--seed", "3")
        try await site.start()
        let status = try await site.status { problems($0).contains("catalog.damaged") }
        #expect(status["state"] as? String == "degraded")
        let problem = try #require((status["problems"] as? [[String: Any]])?.first)
        #expect("\(problem["message"] ?? "")".contains("page"), "\(problem)")
        #expect("\(problem["remedy"] ?? "")".contains("mdb_copy"), "\(problem)")
        #expect(try await site.letterOK("status").output.contains("[catalog.damaged]"))
        #expect(try await site.lines() == lines)
        #expect(try await site.letter("wait", "--caught-up", "--timeout", "1s").status == 75)
        #expect(try await site.letter("catalog", "verify", site.catalog).status == 69)
        // It is not verified over and over while the file stays as it is.
        #expect(site.endedBy == nil)
        try FileManager.default.copyItem(atPath: whole.catalog + "/data.mdb", toPath: site.folder["good"])
        #expect(rename(site.folder["good"], site.catalog + "/data.mdb") == 0)
        try await site.letterOK("wait", "--caught-up")
        try await site.status { problems($0).isEmpty && $0["state"] as? String == "serving" }
        #expect(try await site.lines() == lines)
        #expect(try await site.letter("catalog", "verify", site.catalog).status == 0)
        #expect(try await site.stop() == 0)
    }

    @Test func `a file truncated under the daemon is refused before it is read`() async throws {
        let (whole, lines) = try await closedSite(items: 300)
        for size in [0, 100, 8_192, 200_000] {
            let site = try copy(whole)
            try await site.start()
            try await site.letterOK("wait", "--caught-up")
            #expect(truncate(site.catalog + "/data.mdb", off_t(size)) == 0)
            let status = try await site.status { !problems($0).isEmpty }
            #expect(problems(status).allSatisfy { ["catalog.damaged", "catalog.missing"].contains($0) }, "\(status)")
            #expect(status["state"] as? String == "degraded")
            #expect(site.endedBy == nil, "\(size)")
            #expect(try await site.lines() == lines)
            try FileManager.default.copyItem(atPath: whole.catalog + "/data.mdb", toPath: site.folder["good"])
            #expect(rename(site.folder["good"], site.catalog + "/data.mdb") == 0)
            try await site.letterOK("wait", "--caught-up")
            #expect(try await site.stop() == 0)
        }
    }

    @Test func `another lock format or data format is named, and got over`() async throws {
        let (whole, lines) = try await closedSite(items: 60)
        let site = try copy(whole)
        // Somebody with another LMDB has it open already when the daemon comes.
        try FileManager.default.copyItem(atPath: whole.catalog + "/lock.mdb", toPath: site.folder["lock"])
        let holder = try Helper(site, "faults.py", "other-lock", site.catalog)
        try await holder.ready()
        try await site.start()
        let status = try await site.status { problems($0) == ["catalog.version_mismatch"] }
        #expect(status["state"] as? String == "degraded")
        #expect(try await site.letterOK("status").output.contains("LMDB"))
        #expect(try await site.lines() == lines)
        try await holder.finish()
        try await site.letterOK("wait", "--caught-up")
        try await site.status { problems($0).isEmpty }
        #expect(try await site.stop() == 0)
        // A file written by an LMDB of the next data format.
        let other = try copy(whole)
        let before = try await other.answer("faults.py", "data-version", other.catalog, "2")
        try await other.start()
        try await other.status { problems($0) == ["catalog.version_mismatch"] && $0["state"] as? String == "degraded" }
        #expect(try await other.lines() == lines)
        _ = try await other.answer("faults.py", "data-version", other.catalog, "\(try #require(before["before"]))")
        try await other.letterOK("wait", "--caught-up")
        #expect(try await other.stop() == 0)
    }

    /// What makes modes hold for root too: without these capabilities root is a user as any other.
    private var asOrdinaryUser: [String] {
        geteuid() == 0
            ? ["/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] : []
    }

    @Test func `a catalog that is missing or closed to the daemon is tried again until it is there`() async throws {
        let (whole, lines) = try await closedSite(items: 60)
        let site = try copy(whole)
        try await site.start(through: asOrdinaryUser)
        try await site.letterOK("wait", "--caught-up")
        let (data, lock, aside) = (site.catalog + "/data.mdb", site.catalog + "/lock.mdb", site.folder["aside"])
        func told(_ code: String, _ what: String) async throws {
            let status = try await site.status { problems($0) == [code] }
            #expect(status["state"] as? String == "degraded", "\(what)")
            #expect(try await site.lines() == lines, "\(what)")
            // It is tried more and more seldom.
            let log = site.logText
            try await Task.sleep(for: .milliseconds(400))
            #expect(site.logText == log, "\(what): said once, not again and again")
        }
        func mended(_ what: String) async throws {
            try await site.letterOK("wait", "--caught-up", "--timeout", "30s")
            try await site.status { problems($0).isEmpty && $0["state"] as? String == "serving" }
        }
        // Gone while it runs, and back.
        #expect(rename(data, aside) == 0)
        try await told("catalog.missing", "gone")
        #expect(rename(aside, data) == 0)
        try await mended("back")
        // Closed to it at its start.
        for (path, mode, code) in [
            (data, 0o000, "catalog.permission"), (lock, 0o444, "catalog.permission"),
            (site.catalog, 0o000, "catalog.permission"),
        ] {
            #expect(try await site.stop() == 0)
            var before = stat()
            #expect(stat(path, &before) == 0)
            #expect(chmod(path, mode_t(mode)) == 0)
            // Negative control: the mode holds for this user.
            try await site.start(through: asOrdinaryUser)
            try await told(code, path)
            #expect(chmod(path, before.st_mode & 0o777) == 0)
            try await mended(path)
        }
        #expect(try await site.stop() == 0)
    }

    @Test func `of many daemons started at once on one state exactly one stays, and the others say why not`()
        async throws
    {
        let site = Site()
        try await site.python("plain_writer.py", "create", site.catalog, "--dimension", "384")
        // A socket that nobody listens at, as a killed daemon leaves it.
        try await site.start()
        try await site.stop(SIGKILL)
        #expect(FileManager.default.fileExists(atPath: site.socket))
        let arguments = ["--catalog", site.catalog, "--state", site.state, "--socket", site.socket]
        let daemons = try (0..<6).map { number in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: Site.products + "/letterd")
            process.arguments = arguments
            let log = site.folder["daemon-\(number)"]
            _ = FileManager.default.createFile(atPath: log, contents: nil)
            process.standardError = FileHandle(forWritingAtPath: log)
            try process.run()
            return process
        }
        let deadline = ContinuousClock.now + .seconds(30)
        while daemons.count(where: \.isRunning) > 1, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(10))
        }
        let status = try await site.status { _ in true }
        let running = daemons.filter(\.isRunning)
        #expect(running.map { Int($0.processIdentifier) } == [status["pid"] as? Int])
        for (number, process) in daemons.enumerated() where !process.isRunning {
            #expect(process.terminationStatus == 1)
            let log = try String(contentsOfFile: site.folder["daemon-\(number)"], encoding: .utf8)
            #expect(log.contains("Another letterd has the state directory") && log.contains("letter status"), "\(log)")
        }
        for process in running {
            process.terminate()
            while process.isRunning { try await Task.sleep(for: .milliseconds(5)) }
        }
    }
}
