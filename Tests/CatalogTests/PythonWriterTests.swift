import Foundation
import TestSupport
import Testing
import Core

@testable import Catalog

/// Tools/python/letter_catalog.py against the Swift writer.
@Suite("The writer in Python", .timeLimit(.minutes(5)))
struct PythonWriterTests {
    /// Runs a script with Debian's Python, whose lmdb module is the one that the project's scripts need.
    private func python(_ script: String, _ arguments: [String], input: String = "") throws -> String {
        let folder = TemporaryDirectory()
        try input.write(toFile: folder["in"], atomically: false, encoding: .utf8)
        for name in ["out", "err"] { _ = FileManager.default.createFile(atPath: folder[name], contents: nil) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = [SharedData.packageRoot + "/" + script] + arguments
        process.standardInput = FileHandle(forReadingAtPath: folder["in"])
        process.standardOutput = FileHandle(forWritingAtPath: folder["out"])
        process.standardError = FileHandle(forWritingAtPath: folder["err"])
        try process.run()
        process.waitUntilExit()
        let errors = try String(contentsOfFile: folder["err"], encoding: .utf8)
        #expect(process.terminationStatus == 0, "\(errors)")
        return try String(contentsOfFile: folder["out"], encoding: .utf8)
    }

    private func run(_ transactions: some Collection<ScriptedTransaction>, _ path: String) throws {
        let lines = try transactions.map { transaction in
            let operations: [[Any]] = transaction.operations.map { operation in
                switch operation {
                case .put(let id, let vector): ["put", id.text, vector.map(Double.init)]
                case .delete(let id): ["delete", id.text]
                case .item(let id, let json): ["item", id.text, json]
                case .cf(let id, let vector): ["cf", id.text, vector.map(Double.init)]
                }
            }
            let line: [String: Any] = [
                "operations": operations, "plain": transaction.isPlain, "entries": transaction.limits.entries,
                "bytes": transaction.limits.bytes,
            ]
            return String(decoding: try JSONSerialization.data(withJSONObject: line), as: UTF8.self)
        }
        _ = try python(
            "Tests/EndToEndTests/Support/cooperating_writer.py", ["transactions", path],
            input: lines.joined(separator: "\n"))
    }

    private func check(_ path: String, _ comment: Comment) throws {
        let answer = try python("Tools/python/letter_catalog.py", ["check", path])
        #expect(answer == "{\"problems\": []}\n", comment)
    }

    /// All records of the log's databases and of the others, the log's random numbers replaced by their order.
    private func masked(_ path: String) throws -> [String] {
        let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: 0)
        let transaction = try LMDBTransaction(environment, readOnly: true)
        var names: [UInt64: Int] = [:]
        func name(_ nonce: UInt64) -> Int {
            if let known = names[nonce] { return known }
            names[nonce] = names.count
            return names.count - 1
        }
        var result: [String] = []
        for database in ["meta", "embeddings", "items", "cf", "letter.log", "letter.meta"] {
            guard let handle = try transaction.database(database) else { continue }
            var walk = try transaction.cursor(handle)
            while let record = try walk.next() {
                let key = Array(record.key)
                if database == "letter.log" {
                    let entry = try #require(ChangeLog.read(record))
                    result.append(
                        "\(database) \(key) \(entry.kind) \(name(entry.nonce)) \(Array(entry.id)) \(record.value.count)"
                    )
                } else if database == "letter.meta", key == ChangeLog.stateKey {
                    let state = try #require(ChangeLogState(record.value))
                    result.append(
                        "state \(state.first) \(state.next) \(state.transaction) \(name(state.nonce)) \(state.bytes)")
                } else {
                    result.append("\(database) \(key) \(Array(record.value))")
                }
            }
        }
        return result
    }

    private func scripts(_ seed: UInt64, count: Int) -> [ScriptedTransaction] {
        var random = SeededGenerator(seed: seed)
        let ids = (0..<15).map { _ in ItemID(unchecked: random.bytes(1...20)) }
        let limits = ChangeLogLimits(
            entries: Int.random(in: 3...30, using: &random), bytes: Int.random(in: 200...3_000, using: &random))
        return (0..<count).map { _ in
            ScriptedTransaction(
                operations: random.operations(Int.random(in: 0...8, using: &random), ids: ids),
                isPlain: Int.random(in: 0..<8, using: &random) == 0, limits: limits)
        }
    }

    @Test(arguments: UInt64(1)...4) func `both writers write the same bytes for the same transactions`(seed: UInt64)
        throws
    {
        let folder = TemporaryDirectory()
        let script = scripts(seed, count: 40)
        try CatalogWriter.create(path: folder["swift"], format: CatalogFormat(dimension: 2, embeddingModel: "m"))
        _ = try python(
            "Tools/python/letter_catalog.py",
            ["create", folder["python"], "--dimension", "2", "--embedding-model", "m"])
        #expect(try masked(folder["swift"]) == masked(folder["python"]))
        // One plain writer for both: how many commits a plain transaction is must not differ.
        var pending: [ScriptedTransaction] = []
        for transaction in script {
            if transaction.isPlain {
                try run(pending, folder["python"])
                pending = []
                try transaction.run(folder["python"])
            } else {
                pending.append(transaction)
            }
            try transaction.run(folder["swift"])
        }
        try run(pending, folder["python"])
        let (swift, python) = (try masked(folder["swift"]), try masked(folder["python"]))
        #expect(swift == python, "seed \(seed)")
        #expect(swift.contains { $0.hasPrefix("letter.log") }, "seed \(seed)")
        try check(folder["swift"], "seed \(seed)")
        try check(folder["python"], "seed \(seed)")
    }

    @Test(arguments: UInt64(11)...13) func `writers in turn continue each other's log`(seed: UInt64) throws {
        let folder = TemporaryDirectory()
        let path = folder["c"]
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
        var follower = Follower()
        try follower.catchUp(path)
        var random = SeededGenerator(seed: seed)
        var rest = scripts(seed, count: 40).map { script in
            var script = script
            (script.isPlain, script.limits) = (false, ChangeLogLimits())
            return script
        }[...]
        while !rest.isEmpty {
            let some = rest.prefix(Int.random(in: 1...8, using: &random))
            rest = rest.dropFirst(some.count)
            if Bool.random(using: &random) { try run(some, path) } else { for script in some { try script.run(path) } }
            #expect(try follower.catchUp(path).isLog, "seed \(seed)")
            #expect(follower.known == (try contents(path)), "seed \(seed)")
        }
        try check(path, "seed \(seed)")
    }

    @Test func `vectors as bytes, as numbers and as arrays are stored alike, and what is no vector is refused`() throws
    {
        let folder = TemporaryDirectory()
        let script = """
            import sys
            sys.path.insert(0, sys.argv[1])
            import struct, numpy
            from letter_catalog import Catalog, CatalogError
            for dtype, kind in (("f32", "f"), ("f16", "e")):
                with Catalog.create(sys.argv[2] + dtype, 3, dtype) as catalog:
                    with catalog.write() as transaction:
                        transaction.put("bytes", struct.pack("<3" + kind, 1, 2.5, -3))
                        transaction.put("numbers", (1, 2.5, -3))
                        transaction.put(b"array", numpy.array([1, 2.5, -3], "f8"))
                    bad = [[1, 2], [1, 2, float("nan")], b"abc", numpy.array([1, 2, numpy.inf]), [1, 2, 1e39],
                           numpy.array([1, 2, 1e39])]
                    for vector in bad:
                        try:
                            with catalog.write() as transaction:
                                transaction.put("good", [1, 2, 3])
                                transaction.put("bad", vector)
                        except CatalogError:
                            continue
                        raise SystemExit(f"{vector} was taken")
                    for item in ("", "x" * 512):
                        try:
                            with catalog.write() as transaction:
                                transaction.put(item, [1, 2, 3])
                        except CatalogError:
                            continue
                        raise SystemExit("a bad id was taken")
            """
        try script.write(toFile: folder["s.py"], atomically: false, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = [folder["s.py"], SharedData.packageRoot + "/Tools/python", folder["c-"]]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        for type in VectorElement.allCases {
            let batch = try CatalogReader(path: folder["c-\(type.rawValue)"]).vectors(
                of: ["array", "bytes", "numbers", "good", "bad"].map(id))
            #expect(batch.items == ["array", "bytes", "numbers"].map(id))
            #expect(batch.vectors == [1, 2.5, -3, 1, 2.5, -3, 1, 2.5, -3])
            #expect(batch.missing == ["good", "bad"].map(id))
        }
    }
}
