import Foundation
import GRDB
import SQLiteStore
import TestSupport
import Testing
import Core

@testable import IdentifierIndex

/// `Fixtures/index-v1.sqlite` is an index with version 1 of the schema: letterd had built it from 120 random embeddings, then 20
/// were added, 10 edited and 10 deleted; `index-v1.jsonl` is what `letter dump` printed.
@Suite("An index of schema 1")
struct OldSchemaTests {
    private struct Line: Decodable {
        var item: String
        var codes: [Code]
    }

    @Test func `it is copied, migrated and gets a journal, and no identifier changes`() throws {
        let folder = TemporaryDirectory()
        let fixtures = SharedData.packageRoot + "/Tests/IdentifierIndexTests/Fixtures/"
        let path = folder["index.sqlite"]
        try FileManager.default.copyItem(atPath: fixtures + "index-v1.sqlite", toPath: path)
        let expected = try String(contentsOfFile: fixtures + "index-v1.jsonl", encoding: .utf8).split(separator: "\n")
            .map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
        let identity = IndexIdentity(
            generation: 1, levels: 4, codesPerLevel: 256,
            model: "732c4c28e110dc0f4ddc8355f4d3d4762e6dba69559e20f3715a3605fd236a07")

        let index = try IdentifierIndex(path: path, identity: identity)
        let migrated = try #require(index.opening.migrated)
        #expect(migrated.from == 1)
        #expect(index.opening.wasUnclean, "it has no mark of a version that wrote none")
        #expect(index.journalOpening == .written(aside: nil))
        let dump = try index.dump()
        #expect(dump.count == expected.count && dump.count == 130)
        for (row, line) in expected.enumerated() {
            #expect(dump[row].item.text == line.item)
            #expect(dump[row].codes.codes == line.codes)
        }
        #expect(try index.tally().tombstones == 10)
        for finding in try index.verify() { #expect(finding.isGood, "\(finding.name): \(finding.detail)") }
        try index.close()

        // The copy is the old file, usable by the old version.
        var configuration = Configuration()
        configuration.readonly = true
        let backup = try DatabaseQueue(path: migrated.backup, configuration: configuration)
        let (version, rows) = try backup.read { database in
            (
                try Int.fetchOne(database, sql: "PRAGMA user_version"),
                try Int.fetchOne(database, sql: "SELECT count(*) FROM item WHERE codes IS NOT NULL")
            )
        }
        #expect(version == 1 && rows == 130)
        #expect(migrated.backup == folder["index.v1.backup.sqlite"])
    }
}
