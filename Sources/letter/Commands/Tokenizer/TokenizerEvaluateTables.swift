import Foundation
import Tokenizer
import TokenizerEvaluation

/// The figures of an evaluation as tables, for the terminal and for the report.
struct EvaluationTables {
    /// A table and what it shows.
    struct Section {
        var title: String
        /// What the columns mean, for readers of the report; plain text, not HTML.
        var note: String
        var table: Table
    }

    /// All tables for which there are figures.
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

    /// A share as a fraction, `0.1234`.
    static func fraction(_ share: Double) -> String { String(format: "%.4f", share) }

    /// `a`, `b`, …: the names of the levels in tokens.
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
        add(
            "… in buckets with different embeddings", found.separableItems,
            Double(found.separableItems) / Double(evaluation.items))
        add("identifiers that are shared", found.sharedBuckets)
        add("largest bucket", found.largestBucket)
        add("99th percentile of bucket size", found.p99Bucket)
        add("groups of equal embeddings", found.duplicates.groups)
        add("items in them", found.duplicates.items, Double(found.duplicates.items) / Double(evaluation.items))
        add(
            "distinct embeddings beyond the identifiers", found.duplicates.distinctEmbeddings - found.distinct,
            found.rateWithoutDuplicates)
        return Section(
            title: "Collisions",
            note:
                "Natural codes, before any collision policy. Items beyond the distinct identifiers: 1 − distinct / items, "
                + "the collision rate of the paper. No tokenizer can distinguish items with equal embeddings; the last line "
                + "counts them once.", table: table)
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
                "Of \(evaluation.codesPerLevel) codes per level. Perplexity is 2 to the power of the entropy: the number of "
                + "equally frequent codes with the same entropy. Gini is computed over all codes, including dead ones: 0 if "
                + "all are equally frequent. Largest is the share of items with the most frequent code.", table: table)
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
            add("residual after level \(Self.level(level))") { number($0.residualSquaredNorms[level]) }
        }
        add("residual after all levels, of ‖z‖²") { percent($0.relativeQuantisationError) }
        add("quantisation error, median") { number($0.medianQuantisationError) }
        add("quantisation error, 99th percentile") { number($0.p99QuantisationError) }
        add("quantisation error, maximum") { number($0.greatestQuantisationError) }
        add("reconstruction, mean square") { $0.reconstruction.map { number($0.meanSquaredError) } }
        add("reconstruction, of ‖s‖²") { $0.reconstruction.map { percent($0.relativeError) } }
        return Section(
            title: "Quantisation and reconstruction",
            note:
                "Squared lengths of the residuals of the latent embedding z, and of the decoder's error on the scaled input s. "
                + "The percentages have no unit, so they can be compared between models.", table: table)
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
                "Share of levels at which an item and its nearest neighbour (by \(names.first ?? "")) have the same code, as "
                + "in Table 4 of the paper. By chance: the share for two random items; both are high if few codes are in "
                + "use.", table: table)
    }

    private static func purity(_ purity: Evaluation.CategoryPurity) -> Section {
        let levels = purity.depths.first?.prefixes.count ?? 0
        var table = Table(.text("CATEGORY DEPTH"), .number("ITEMS"), .number("CATEGORIES"), .number("LARGEST"))
        for length in 1...max(1, levels) { table.columns.append(.number("\(length) CODE\(length == 1 ? "" : "S")")) }
        // A depth with a single category, such as the root, is always pure.
        for depth in purity.depths where depth.categories > 1 || purity.depths.count == 1 {
            table.rows.append(
                ["\(depth.depth)", "\(depth.items)", "\(depth.categories)", String(format: "%.3f", depth.largestShare)]
                    + depth.prefixes.map { String(format: "%.3f / %.3f", $0.purity, $0.shuffled) })
        }
        return Section(
            title: "Purity of prefixes",
            note:
                "Share of items whose category is the most frequent one among the items with the same first codes; after the "
                + "slash, the same with categories shuffled among the items. A prefix of a single item is always pure, so "
                + "only the difference is meaningful.", table: table)
    }
}
