import Foundation
import TestSupport
import Testing
import Core

@testable import Catalog

/// The walk over a catalog's pages: sound files pass, whatever is in them; damage to their structure is found, and is
/// never the end of the process.
@Suite("Verification of a catalog's pages")
struct VerificationTests {
    let folder = TemporaryDirectory()
    private static let page = 4_096

    private func id(_ number: Int) -> ItemID { ItemID(unchecked: Array("item-\(number)".utf8)) }

    /// A catalog with branch pages, records with pages of their own, free pages and several databases.
    private func make(_ path: String, items: Int = 600, dimension: Int = 24) throws {
        try CatalogWriter.create(path: path, format: CatalogFormat(dimension: dimension))
        let writer = try CatalogWriter(path: path)
        var random = SeededGenerator(seed: 3)
        try writer.write { transaction in
            for number in 0..<items {
                try transaction.put(embedding: random.vector(dimension), of: id(number))
                // Longer than a page now and then.
                let json = [UInt8](repeating: 32, count: number % 40 == 0 ? 9_000 : 20)
                try transaction.put(json: json, of: id(number))
            }
        }
        for start in [0, 200, 400] {
            _ = try writer.write { transaction in
                for number in start..<(start + 30) { _ = try transaction.delete(id(number)) }
            }
        }
    }

    private func damaged(_ path: String) throws -> Bool {
        do {
            _ = try CatalogVerification.verify(path: path)
            return false
        } catch let error as CatalogError {
            #expect(error.reason == .damaged, "\(error)")
            #expect(error.remedy.contains("mdb_copy"))
            return true
        }
    }

    @Test func `sound catalogs pass, with the numbers of pages and entries that LMDB counts`() throws {
        for items in [0, 1, 600, 5_000] {
            let path = folder["sound-\(items)"]
            if items < 600 {
                try CatalogWriter.create(path: path, format: CatalogFormat(dimension: 2))
                let writer = try CatalogWriter(path: path)
                try writer.write { transaction in
                    for number in 0..<items { try transaction.put(embedding: [1, 2], of: id(number)) }
                }
            } else {
                try make(path, items: items)
            }
            let report = try CatalogVerification.verify(path: path)
            let count = try CatalogReader(path: path).count()
            #expect(report.databases.first { $0.name == "embeddings" }?.entries == count)
            let size = try #require(
                FileManager.default.attributesOfItem(atPath: path + "/data.mdb")[.size] as? Int)
            #expect(report.pages + report.freePages <= size / Self.page)
            #expect(items < 600 || report.freePages > 0)
        }
    }

    @Test func `a process that has a catalog open does not open it again to verify it`() throws {
        let path = folder["open"]
        try make(path)
        let reader = try CatalogReader(path: path)
        let error = #expect(throws: CatalogError.self) { try CatalogVerification.verify(path: path) }
        #expect(error?.reason == .alreadyOpen)
        // A second handle, closed again, would have dropped the locks of the first.
        #expect(try reader.count() == 510)
    }

    @Test func `items are not taken for gone where a page on the way to them is damaged`() throws {
        let path = folder["gone"]
        try make(path)
        let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path + "/data.mdb")))
        let nobody = ItemID(unchecked: Array("item-1x".utf8))
        func confirm(_ bytes: [UInt8]) throws {
            let copy = folder["copy-\(UInt64.random(in: 0..<(1 << 40)))"]
            try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: false)
            try Data(bytes).write(to: URL(fileURLWithPath: copy + "/data.mdb"))
            let reader = try CatalogReader(path: copy)
            let transaction = try LMDBTransaction(reader.environment, readOnly: true)
            try reader.confirmGone([nobody, id(5)], in: try reader.pages(of: transaction))
        }
        // Both are not there; `item-100` is.
        try confirm(whole)
        // The leaf where they would be: the one with the greatest key below `item-1x`.
        let leaf = try #require(
            pages(whole).first { page in
                let bytes = whole[(page * Self.page)..<((page + 1) * Self.page)]
                return whole[page * Self.page + 10] == 2 && bytes.firstRange(of: Array("item-199".utf8)) != nil
            })
        for place in [0, 10, 12, 14, 16] {
            var bytes = whole
            bytes[leaf * Self.page + place] ^= 4
            let error = #expect(throws: CatalogError.self, "byte \(place)") { try confirm(bytes) }
            #expect(error?.reason == .damaged)
        }
    }

    @Test func `damage to the structure of any page is found, and never ends the process`() throws {
        let path = folder["whole"]
        try make(path)
        let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path + "/data.mdb")))
        let used = pages(whole)
        #expect(used.count > 40)
        #expect(try !damaged(path))
        let copy = folder["copy"]
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: false)
        let seed: UInt64 = 11
        var random = SeededGenerator(seed: seed)
        for round in 0..<400 {
            var bytes = whole
            let number = used.randomElement(using: &random) ?? 0
            let start = number * Self.page
            let what: String
            switch round % 6 {
            case 0:
                what = "zeros"
                bytes.replaceSubrange(start..<(start + Self.page), with: repeatElement(0, count: Self.page))
            case 1:
                what = "noise"
                bytes.replaceSubrange(start..<(start + Self.page), with: random.bytes(Self.page...Self.page))
            case 2:
                what = "another page's content"
                let other = used.filter { $0 != number }.randomElement(using: &random) ?? 0
                bytes.replaceSubrange(
                    (start + 8)..<(start + Self.page),
                    with: whole[(other * Self.page + 8)..<((other + 1) * Self.page)])
            case 3:
                what = "a bit of the header"
                let place = [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15].randomElement(using: &random) ?? 0
                bytes[start + place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 4:
                what = "a bit of an offset"
                let lower = Int(bytes[start + 12]) | Int(bytes[start + 13]) << 8
                bytes[start + Int.random(in: 16..<lower, using: &random)] ^=
                    1 << UInt8.random(in: 0..<8, using: &random)
            default:
                what = "the file's end"
                bytes.removeLast(Int.random(in: (whole.count / 2)..<whole.count, using: &random))
            }
            try Data(bytes).write(to: URL(fileURLWithPath: copy + "/data.mdb"))
            unlink(copy + "/lock.mdb")
            #expect(try damaged(copy), "seed \(seed), round \(round): \(what) of page \(number)")
        }
    }

    /// Pages of all trees: those that say so of themselves, and are not free.
    private func pages(_ bytes: [UInt8]) -> [Int] {
        func number(_ offset: Int, _ count: Int) -> UInt64 {
            (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
        }
        let meta = number(144, 8) > number(Self.page + 144, 8) ? 0 : Self.page
        var found: [Int] = []
        func walk(_ page: UInt64, _ isMain: Bool) {
            guard page != .max else { return }
            let start = Int(page) * Self.page
            found.append(Int(page))
            for index in 0..<((Int(number(start + 12, 2)) - 16) / 2) {
                let node = start + Int(number(start + 16 + 2 * index, 2))
                if number(start + 10, 2) & 1 != 0 {
                    walk(number(node, 6), isMain)
                } else if isMain, number(node + 4, 2) & 2 != 0 {
                    walk(number(node + 8 + Int(number(node + 6, 2)) + 40, 8), false)
                }
            }
        }
        walk(number(meta + 88 + 40, 8), true)
        return found
    }
}
