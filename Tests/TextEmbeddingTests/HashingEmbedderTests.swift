import Testing
import Core

@testable import TextEmbedding

/// Cosine of two unit vectors.
private func cosine(_ left: [Float], _ right: [Float]) -> Float {
    zip(left, right).reduce(0) { $0 + $1.0 * $1.1 }
}

@Suite("The hashing embedder")
struct HashingEmbedderTests {
    private let embedder: HashingEmbedder

    init() throws {
        embedder = try HashingEmbedder(dimension: 384)
    }

    @Test(
        "gives vectors of length one",
        arguments: ["a", "nginx", "small, powerful, scalable web/proxy server", "日本語のテキスト", "x x x x x x x x"])
    func unitLength(text: String) throws {
        let vector = try embedder.embed(text)
        #expect(vector.count == 384)
        let length = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        #expect(abs(length - 1) < 1e-6)
    }

    /// Expected values from Tests/EndToEndTests/Support/hashing_reference.py, written from the formulas alone.
    @Test("gives these bits on every machine, in every version named hashing/1")
    func literalValues() throws {
        #expect(embedder.name == "hashing/1")
        let eight = try HashingEmbedder(dimension: 8)
        #expect(
            try eight.embed("Web server").map(\.bitPattern) == [
                0xBE756ED7, 0x3E239F3A, 0xBDDA29A3, 0xBE085A06, 0xBCDA29A3, 0x3F45B5BC, 0x3EE7CC3D, 0xBE95FCA0,
            ])
        #expect(
            try eight.embed("Übergröße, größer als 12").map(\.bitPattern) == [
                0x3DDA6F76, 0x3EA41C58, 0x3E3A723F, 0xBEE7AF8B, 0xBD32AF34, 0xBF343F53, 0x3EC4624E, 0x3D67AF8B,
            ])
        let long = try embedder.embed("GNU TLS library - main runtime library")
        let large = long.indices.filter { abs(long[$0]) > 0.2 }
        #expect(large == [24, 61, 107, 117, 132, 200, 203, 208, 306, 366, 375])
        #expect(
            large.map { long[$0].bitPattern } == [
                0x3E96DBB8, 0xBE555888, 0xBE96DBB8, 0xBE78614E, 0xBE62AE11, 0xBE555888, 0xBE555888, 0x3E555888,
                0x3E96DBB8, 0x3E555888, 0xBE855755,
            ])
    }

    @Test("gives the same bits whatever was embedded before, also into storage that was used")
    func independence() throws {
        let expected = try embedder.embed("a web server")
        var vector: [Float] = [1, 2, 3]
        for text in ["something else", "a web server", "and more of it", "a web server"] {
            try embedder.embed(text, into: &vector)
            #expect(vector.count == 384)
            if text == "a web server" { #expect(vector == expected) }
        }
    }

    @Test("ignores case, punctuation and white space")
    func folding() throws {
        func same(_ left: String, _ right: String) throws -> Bool {
            try embedder.embed(left) == embedder.embed(right)
        }
        #expect(try same("Web-Server, FAST!", "  web server\n(fast)"))
        #expect(try same("ÉCOLE Ωmega", "école ωMEGA"))
        // Negative control: words do matter, and so does their order.
        #expect(try !same("web server fast", "fast web server"))
    }

    @Test("keeps a combining mark in the word that it follows")
    func combiningMarks() throws {
        let decomposed = "e\u{301}cole"
        let vector = try embedder.embed(decomposed)
        let split = try embedder.embed("e cole")
        let bare = try embedder.embed("ecole")
        #expect(vector != split)
        #expect(vector != bare)
    }

    @Test("refuses a text without a letter or a digit", arguments: ["", "   ", "-- ... !?", "\u{301}", "\u{0}\n"])
    func noText(text: String) throws {
        let error = #expect(throws: TextEmbeddingError.self) { try embedder.embed(text) }
        #expect(error?.code == "text_embedding.no_text")
        #expect(error?.kind == .invalid)
    }

    @Test("refuses a width out of range", arguments: [0, -1, 65_537])
    func badDimension(dimension: Int) {
        let error = #expect(throws: TextEmbeddingError.self) { try HashingEmbedder(dimension: dimension) }
        #expect(error?.reason == .badDimension)
        #expect(throws: TextEmbeddingError.self) { try TextEmbedders.make(name: "hashing", dimension: dimension) }
    }

    @Test("works at any width", arguments: [1, 2, 3, 100, 1_000, 65_536])
    func widths(dimension: Int) throws {
        let vector = try HashingEmbedder(dimension: dimension).embed("some text of five words")
        #expect(vector.count == dimension)
        #expect(vector.allSatisfy { $0.isFinite })
        #expect(abs(vector.reduce(0.0) { $0 + Double($1) * Double($1) } - 1) < 1e-5)
    }

    @Test("is found by its name, and an unknown name is refused")
    func names() throws {
        let found = try TextEmbedders.make(name: "hashing", dimension: 16)
        #expect(found.name == "hashing/1")
        #expect(found.dimension == 16)
        let error = #expect(throws: TextEmbeddingError.self) { try TextEmbedders.make(name: "bert", dimension: 16) }
        #expect(error?.kind == .usage)
    }
}

@Suite("The quality of hashed embeddings")
struct HashingQualityTests {
    private let embedder: HashingEmbedder

    init() throws {
        embedder = try HashingEmbedder(dimension: 384)
    }

    private func similarity(_ left: String, _ right: String) throws -> Float {
        cosine(try embedder.embed(left), try embedder.embed(right))
    }

    /// Three texts: the second is about the same subject as the first, the third is not.
    private static let triples = [
        (
            "nginx: small, powerful, scalable web/proxy server",
            "lighttpd: fast webserver with minimal memory footprint",
            "fonts-noto: metapackage to pull in all Noto fonts"
        ),
        (
            "libgnutls30: GNU TLS library - main runtime library",
            "libgnutls28-dev: GNU TLS library - development files",
            "chess: game of strategy for two players"
        ),
        (
            "Stanley 1/2-Inch Leg Length Staples, Steel (1000 Count)", "Stainless steel narrow crown staple, 1/2 inch",
            "Nail lacquer, simmer and shimmer"
        ),
        (
            "Python module for reading and writing YAML files", "YAML parser and emitter for the Ruby language",
            "wireless network card firmware"
        ),
        ("rechargeable batteries", "battery charger, rechargeable AA", "leather gloves for gardening"),
    ]

    @Test("gives related texts a greater cosine than unrelated ones", arguments: triples)
    func related(text: String, near: String, far: String) throws {
        let toNear = try similarity(text, near)
        let toFar = try similarity(text, far)
        #expect(toNear > toFar + 0.05, "near \(toNear), far \(toFar)")
    }

    /// Pairs of texts that differ in a few words.
    private static let duplicates = [
        (
            "Stanley TRA708T Sharpshooter 1/2-Inch Leg Length Staples, Steel (1000 Count). Heavy-duty staples are ideal",
            "Stanley TRA708T Sharpshooter 1/2-Inch Leg Length Staples, Steel (1,000 count) - heavy duty staples are ideal"
        ),
        (
            "r-cran-dplyr: GNU R grammar of data manipulation. A fast, consistent tool for working with data frames",
            "r-cran-dplyr: GNU R grammar of data manipulation. A fast and consistent tool to work with data frames"
        ),
        ("aluminium drinking bottle, 750 ml, with carabiner", "aluminum drinking bottle 750 ml with carabiner"),
    ]

    @Test("gives near-duplicates a cosine above .8", arguments: duplicates)
    func nearDuplicates(first: String, second: String) throws {
        let value = try similarity(first, second)
        #expect(value > 0.8, "\(value)")
        #expect(value < 1)
    }

    @Test("gives unrelated texts a cosine near zero")
    func unrelated() throws {
        // Words over disjoint alphabets share no feature, so only the projection's noise is left: 1/√384 = .051.
        var generator = Generator(seed: 7)
        var sum = 0.0
        let count = 400
        for _ in 0..<count {
            let left = generator.text(letters: Array("abcdefghijklm"))
            let right = generator.text(letters: Array("nopqrstuvwxyz"))
            let value = Double(try similarity(left, right))
            sum += value * value
        }
        let deviation = (sum / Double(count)).squareRoot()
        #expect(deviation > 0.03 && deviation < 0.08, "\(deviation)")
    }

    @Test("estimates the share of common words")
    func sharedWords() throws {
        // Half of the words are equal: the cosine of the features is a half, or a little more if trigrams coincide.
        var generator = Generator(seed: 11)
        var sum: Float = 0
        for _ in 0..<100 {
            let shared = generator.text(letters: Array("abcdefghijklm"))
            let left = shared + " " + generator.text(letters: Array("nopqrs"))
            let right = shared + " " + generator.text(letters: Array("tuvwxyz"))
            sum += try similarity(left, right)
        }
        #expect(abs(sum / 100 - 0.5) < 0.06, "\(sum / 100)")
    }

}

/// Repeatable random texts.
private struct Generator {
    private var numbers: SplitMix64

    init(seed: UInt64) { numbers = SplitMix64(seed: seed) }

    private mutating func next(below bound: Int) -> Int { Int(numbers.next() % UInt64(bound)) }

    /// Ten words of eight letters each, drawn from these.
    mutating func text(letters: [Character]) -> String {
        (0..<10).map { _ in String((0..<8).map { _ in letters[next(below: letters.count)] }) }.joined(separator: " ")
    }
}
