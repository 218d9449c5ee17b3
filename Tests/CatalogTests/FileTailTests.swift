import Glibc
import TestSupport
import Testing
import Core

@testable import Catalog

@Suite("A file's tail")
struct FileTailTests {
    let folder = TemporaryDirectory()
    var path: String { folder["c"] }

    private func sizes(_ path: String) throws -> (file: Int, required: Int) {
        let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: 0)
        return (try copy(of: path).count, try #require(environment.requiredFileSize))
    }

    @Test func `a file that lacks only pages that were never written is whole, and one that lacks another is not`()
        throws
    {
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 384))
        // Pages taken and given back within one transaction: LMDB counts them and does not write them.
        try {
            let environment = try LMDBEnvironment(path: path, flags: 0, mapSize: 1 << 30)
            for round in UInt8(0)..<6 {
                let transaction = try LMDBTransaction(environment, readOnly: false)
                let embeddings = try #require(try transaction.database("embeddings"))
                let value = [UInt8](repeating: round, count: 4 * 384)
                for row in 0..<100 { try transaction.put(embeddings, key: id("z\(100 + row)").bytes, value: value) }
                for row in ((round < 3 ? 80 : 10)..<100).reversed() {
                    _ = try transaction.delete(embeddings, id("z\(100 + row)").bytes)
                }
                try transaction.commit()
            }
        }()
        let (file, required) = try sizes(path)
        try #require(file < required, "this LMDB writes such pages: the case does not arise")
        var follower = Follower()
        try follower.catchUp(path)
        let expected = try contents(path)
        #expect(follower.known == expected)
        // Cut off page by page: refused as soon as one is missing that is not free, read rightly before that.
        let whole = try copy(of: path)
        var refused = 0
        for pages in stride(from: file / 4_096 - 1, through: 2, by: -1) {
            let cut = TemporaryDirectory()
            try ChangeLogTests.write(Array(whole.prefix(pages * 4_096)), to: cut["data.mdb"])
            var other = Follower()
            do {
                try other.catchUp(cut.path)
                #expect(other.known == expected, "\(pages) pages")
            } catch let error as CatalogError {
                #expect(error.reason == .damaged)
                refused += 1
            }
        }
        #expect(refused > 0)
    }
}
