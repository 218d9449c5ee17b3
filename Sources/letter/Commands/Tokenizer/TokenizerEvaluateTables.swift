import Foundation
import Tokenizer
import TokenizerEvaluation

/// The figures of an evaluation as tables, for the terminal and for the report.
struct EvaluationTables {
    /// A table and what it shows.
    struct Section {
        var title: String
        /// What the columns mean, for those who read the report; HTML is not allowed in it.
        var note: String
        var table: Table
    }

    /// All tables that there are figures for.
    private(set) var all: [Section] = []

    init(_ evaluation: Evaluation) {
        all = [Self.collisions(evaluation), Self.usage(evaluation), Self.errors(evaluation)]
        if let neighbours = Self.neighbours(evaluation) { all.append(neighbours) }
        if let purity = evaluation.purity { all.append(Self.purity(purity)) }
    }

    /// `12.34 %`
    static func percent(_ share: Double) -> String { String(format: share < 0.1 ? "%.3f %%" : "%.2f %%", share * 100) }

    /// Four significant digits.
    static func number(_ value: Double) -> String { String(format: abs(value) >= 1000 ? "%.0f" : "%#.4g", value) }

    /// A share as a fraction.
    static func fraction(_ share: Double) -> String { String(format: "%.4f", share) }

    /// `a`, `b`, … as tokens name the levels.
    static func level(_ level: Int) -> String { String(UnicodeScalar(UInt8(ascii: "a") + UInt8(min(level, 25)))) }

    private static func collisions(_ evaluation: Evaluation) -> Section {
        let found = evaluation.collisions
        var table = Table(.text("COLLISIONS"), .number("COUNT"), .number("SHARE"))
        func add(_ name: String, _ count: Int, _ share: Double? = nil) {
            table.add(name, "\(count)", share.map(percent) ?? "")
        }
        add("items", evaluation.items)
        add("distinct identifiers", found.distinct)
        add("items beyond the distinct identifiers", evaluation.items - found.distinct, found.rate)
        add("items that share an identifier", found.sharedItems, found.sharedRate)
        add("… and could be told apart", found.separableItems, Double(found.separableItems) / Double(evaluation.items))
        add("identifiers that are shared", found.sharedBuckets)
        add("largest bucket", found.largestBucket)
        add("99 % of buckets are at most", found.p99Bucket)
        add("groups of equal embeddings", found.duplicates.groups)
        add("items in them", found.duplicates.items, Double(found.duplicates.items) / Double(evaluation.items))
        add(
            "distinct embeddings beyond the identifiers", found.duplicates.distinctEmbeddings - found.distinct,
            found.rateWithoutDuplicates)
        return Section(
            title: "Collisions",
            note:
                "Natural codes, before any collision policy. Items beyond the distinct identifiers: 1 − distinct / items, "
                + "the collision rate of the paper. Items with equal embeddings cannot be told apart by any tokenizer; the "
                + "last line counts them once.", table: table)
    }

    private static func usage(_ evaluation: Evaluation) -> Section {
        var table = Table(
            .text("LEVEL"), .number("USED"), .number("DEAD"), .number("ENTROPY"), .number("PERPLEXITY"),
            .number("GINI"), .number("LARGEST"))
        for (level, usage) in evaluation.usage.enumerated() {
            table.add(
                Self.level(level), "\(usage.used)", "\(usage.dead)", "\(number(usage.entropy)) bits",
                number(usage.perplexity), fraction(usage.gini), percent(usage.largestShare))
        }
        return Section(
            title: "Use of codes",
            note:
                "Of \(evaluation.codesPerLevel) codes a level. Perplexity is 2 to the power of the entropy: so many codes "
                + "used alike would have the same entropy. Gini is over all codes, dead ones included: 0 when all are used "
                + "alike. Largest is the share of items that have the most frequent code.", table: table)
    }

    private static func errors(_ evaluation: Evaluation) -> Section {
        var table = Table(.text("ERRORS"), .number("ALL ITEMS"))
        let (all, unseen) = (evaluation.errors, evaluation.unseenErrors)
        if unseen != nil { table.columns.append(.number("UNSEEN")) }
        func add(_ name: String, _ value: (Evaluation.ErrorFigures) -> String?) {
            guard let first = value(all) else { return }
            table.rows.append([name, first] + (unseen.map { [value($0) ?? ""] } ?? []))
        }
        add("items") { "\($0.items)" }
        add("latent embedding, mean ‖z‖²") { number($0.latentSquaredNorm) }
        for level in 0..<evaluation.levels {
            add("left after level \(Self.level(level))") { number($0.residualSquaredNorms[level]) }
        }
        add("left after all, of ‖z‖²") { percent($0.relativeQuantisationError) }
        add("quantisation error, median") { number($0.medianQuantisationError) }
        add("quantisation error, 99 % at most") { number($0.p99QuantisationError) }
        add("quantisation error, greatest") { number($0.greatestQuantisationError) }
        add("reconstruction, mean square") { $0.reconstruction.map { number($0.meanSquaredError) } }
        add("reconstruction, of ‖s‖²") { $0.reconstruction.map { percent($0.relativeError) } }
        return Section(
            title: "Quantisation and reconstruction",
            note:
                "Squared lengths of what the levels leave of the latent embedding z, and of what the decoder misses of the "
                + "scaled input s. The shares have no unit, so they compare between models.", table: table)
    }

    private static func neighbours(_ evaluation: Evaluation) -> Section? {
        var table = Table(.text("NEAREST BY"), .number("ITEMS"), .number("SHARED"), .number("BY CHANCE"))
        for level in 0..<evaluation.levels { table.columns.append(.number("level \(Self.level(level))")) }
        var names: [String] = []
        for (name, overlap) in [
            ("CF embedding", evaluation.collaborativeNeighbours), ("semantic embedding", evaluation.semanticNeighbours),
        ] {
            guard let overlap else { continue }
            names.append(overlap.similarity == .cosine ? "cosine" : "inner product")
            table.rows.append(
                [name, "\(overlap.queries)", fraction(overlap.share), fraction(overlap.shareByChance)]
                    + overlap.shareByLevel.map(fraction))
        }
        return Section(
            title: "Codes shared with the nearest neighbour",
            note:
                "Share of positions at which an item and its nearest neighbour (by \(names.first ?? "")) have the same "
                + "code, as in Table 4 of the paper. By chance: what two items drawn at random share; few codes in use make "
                + "both great.", table: table)
    }

    private static func purity(_ purity: Evaluation.CategoryPurity) -> Section {
        let levels = purity.depths.first?.prefixes.count ?? 0
        var table = Table(.text("CATEGORY DEPTH"), .number("ITEMS"), .number("CATEGORIES"), .number("LARGEST"))
        for length in 1...max(1, levels) { table.columns.append(.number("\(length) CODE\(length == 1 ? "" : "S")")) }
        // A depth with one category, such as the root, is pure whatever the codes are.
        for depth in purity.depths where depth.categories > 1 || purity.depths.count == 1 {
            table.rows.append(
                ["\(depth.depth)", "\(depth.items)", "\(depth.categories)", String(format: "%.3f", depth.largestShare)]
                    + depth.prefixes.map { String(format: "%.3f / %.3f", $0.purity, $0.shuffled) })
        }
        return Section(
            title: "Purity of prefixes",
            note:
                "Share of items whose category is the most frequent one among the items with the same first codes; behind "
                + "the stroke the same after the categories were shuffled among the items. A prefix of one item is always pure, so only "
                + "the difference tells something.", table: table)
    }
}
