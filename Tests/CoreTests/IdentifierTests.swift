import Foundation
import TestSupport
import Testing
import Core

@Suite struct IdentifierTests {
    private static func random(_ random: inout SeededGenerator) -> Identifier {
        var identifier = Identifier()
        for _ in 0..<Int.random(in: 0...9, using: &random) {
            // Small codes half of the time, so that prefixes are shared.
            identifier.append(
                Bool.random(using: &random)
                    ? .random(in: 0...2, using: &random) : .random(in: 0...65535, using: &random))
        }
        return identifier
    }

    @Test(arguments: 0..<20)
    func `The order of identifiers is the order of their bytes`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let left = Self.random(&random)
            let right = Self.random(&random)
            #expect((left < right) == left.bytes.lexicographicallyPrecedes(right.bytes), "\(left) \(right)")
            #expect((left == right) == (left.bytes == right.bytes))
        }
    }

    @Test(arguments: 0..<20)
    func `An identifier survives each of its forms`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let identifier = Self.random(&random)
            #expect(Identifier(text: identifier.description) == identifier)
            #expect(Identifier(text: identifier.tokens) == identifier)
            #expect(Identifier(bytes: identifier.bytes) == identifier)
            #expect(Identifier(identifier.codes) == identifier)
            #expect(try JSONDecoder().decode(Identifier.self, from: JSONEncoder().encode(identifier)) == identifier)
        }
    }

    @Test func `Its text forms are those of the design`() {
        let identifier: Identifier = [12, 3, 7, 0]
        #expect(identifier.description == "12-3-7-0")
        #expect(identifier.tokens == "<a_12><b_3><c_7><d_0>")
        #expect(Identifier(text: "")?.isEmpty == true)
        #expect(identifier.prefix(2) == [12, 3])
        #expect(identifier.appending(9).codes == [12, 3, 7, 0, 9])
    }

    @Test(arguments: [
        "-", "1-", "-1", "1--2", "+1", "65536", "1-2-3-4-5-6-7-8-9-10", "<b_1>", "<a_1><c_2>", "<a_1", "<a_>", "a_1",
        "<a_1>x", "1 2", "١", "<a_+1>", "<A_1>", "1-2 ",
    ])
    func `What is no identifier is not read`(text: String) {
        #expect(Identifier(text: text) == nil)
    }

    @Test func `Ten codes are too many`() {
        #expect(Identifier(0..<9) != nil)
        #expect(Identifier(0..<10) == nil)
        #expect(Identifier(bytes: [UInt8](repeating: 0, count: 20)) == nil)
        #expect(Identifier(bytes: [0]) == nil)
    }
}

@Suite struct FailureKindTests {
    @Test func `Each kind has an exit code and a status that stay`() {
        let codes = FailureKind.allCases.map { "\($0.rawValue) \($0.exitCode) \($0.httpStatus)" }
        #expect(
            codes == [
                "usage 64 400", "invalid 1 400", "notFound 1 404", "conflict 1 409", "notRunning 3 503",
                "unavailable 69 503", "temporary 75 503", "permission 77 403", "configuration 78 500", "internal 1 500",
            ])
    }
}
