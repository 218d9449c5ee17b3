import Core
import Foundation
import Tokenizer
import TokenizerEvaluation

/// An evaluation as one HTML file: no scripts, no external links, figures as SVG, colours for light and dark mode.
struct HTMLReport {
    /// Directory of the model and folder of the catalog, as given on the command line.
    var model: String
    var catalog: String
    var manifest: ModelManifest
    var result: Evaluator.Result
    /// The codes of each level in two dimensions.
    var maps: [CodeMap]
    /// The field that categories were read from.
    var categoryField: String?

    /// The page. Equal evaluations give equal bytes.
    func text() -> String {
        let name = model.split(separator: "/").last.map(String.init) ?? model
        var page = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="generator" content="letter tokenizer evaluate">
            <title>\(Self.escaped(name)): evaluation of a tokenizer</title>
            <style>\(Self.style)</style>
            </head>
            <body>
            <header>
            <h1>Evaluation of <b>\(Self.escaped(name))</b></h1>
            <p class="note">\(result.evaluation.items) items of \(Self.escaped(catalog)) · \(result.evaluation.levels) levels of \
            \(result.evaluation.codesPerLevel) codes · natural codes, before any collision policy</p>
            </header>
            <main>

            """
        page += summary()
        let first = result.evaluation.usage[0]
        page += section(
            "First-level codes by frequency",
            note:
                "Share of the items whose first code is one of 15 codes, with codes sorted by frequency (Figure 6 of the "
                + "paper). \(first.used) of \(result.evaluation.codesPerLevel) codes are in use; the dashed line is where "
                + "all groups would be if every code had the same number of items.",
            body: "<figure class=\"wide\">\(FrequencyFigure(evaluation: result.evaluation).svg())</figure>")
        page += section(
            "Codes of each level in two dimensions",
            note:
                "The code embeddings along their two principal components (Figure 7 of the paper); x and y have the same "
                + "scale. The more items have a code, the stronger its colour; a hollow point is a dead code.",
            body: "<div class=\"maps\">"
                + maps.enumerated().map { level, map in
                    CodeMapFigure(level: level, map: map, counts: result.codeCounts[level]).html()
                }.joined(separator: "\n") + "</div>")
        for section in EvaluationTables(result.evaluation).all {
            let source = section.title == "Purity of prefixes" ? categoryField.map { "Field \($0). " } ?? "" : ""
            page += self.section(section.title, note: source + section.note, body: Self.html(section.table))
        }
        page += section(
            "Bucket sizes", note: "Shared identifiers, by the number of items that share them.", body: buckets())
        page += section("Model", note: "From the manifest.", body: provenance())
        return page + "</main>\n</body>\n</html>\n"
    }

    // MARK: - Sections

    /// The most important figures.
    private func summary() -> String {
        let evaluation = result.evaluation
        let first = evaluation.usage[0]
        var cards = [
            ("Collision rate", EvaluationTables.percent(evaluation.collisions.rate), "1 − distinct / items"),
            (
                "Items that share an identifier", EvaluationTables.percent(evaluation.collisions.sharedRate),
                "\(evaluation.collisions.sharedItems) items"
            ),
            (
                "First-level codes in use", "\(first.used) of \(evaluation.codesPerLevel)",
                "perplexity \(EvaluationTables.number(first.perplexity))"
            ),
            (
                "Quantisation error", EvaluationTables.percent(evaluation.errors.relativeQuantisationError),
                "of the latent’s ‖z‖²"
            ),
        ]
        if let overlap = evaluation.collaborativeNeighbours {
            let chance = EvaluationTables.fraction(overlap.shareByChance)
            cards.append(
                ("Codes shared with CF neighbour", EvaluationTables.fraction(overlap.share), "by chance \(chance)"))
        }
        if let reconstruction = evaluation.errors.reconstruction {
            cards.append(
                ("Reconstruction error", EvaluationTables.percent(reconstruction.relativeError), "of the input’s ‖s‖²")
            )
        }
        let body = cards.map { name, value, detail in
            "<div class=\"card\"><span>\(Self.escaped(name))</span><strong>\(Self.escaped(value))</strong>"
                + "<small>\(Self.escaped(detail))</small></div>"
        }
        return "<section class=\"cards\">\n\(body.joined(separator: "\n"))\n</section>\n"
    }

    private func section(_ title: String, note: String, body: String) -> String {
        "<section>\n<h2>\(Self.escaped(title))</h2>\n<p class=\"note\">\(Self.escaped(note))</p>\n\(body)\n</section>\n"
    }

    private func buckets() -> String {
        let sizes = result.evaluation.collisions.bucketSizes
        guard !sizes.isEmpty else { return "<p>No identifier is shared.</p>" }
        var table = Table(.text("Items"), .number("Identifiers"), .number("Items in all"))
        // A long tail of sizes is summed up in one row.
        for entry in sizes.prefix(40) {
            table.add("\(entry.size)", "\(entry.buckets)", "\(entry.size * entry.buckets)")
        }
        let rest = sizes.dropFirst(40)
        if !rest.isEmpty {
            let items = rest.reduce(0) { $0 + $1.size * $1.buckets }
            table.add("more", "\(rest.reduce(0) { $0 + $1.buckets })", "\(items)")
        }
        return Self.html(table)
    }

    private func provenance() -> String {
        var table = Table(.text("Model"), .text(model))
        let widths = [manifest.inputWidth] + manifest.hiddenWidths + [manifest.latentWidth]
        table.add("encoder", widths.map(String.init).joined(separator: " → "))
        let scaling = manifest.inputScaling
        table.add("input", "\(scaling.unitLength ? "unit length" : "as given") × \(scaling.factor)")
        table.add("embeddings by", manifest.provenance.embeddingModel ?? "not recorded")
        table.add("created by", manifest.provenance.createdBy)
        if let seed = manifest.provenance.seed { table.add("seed", "\(seed)") }
        let weights = ["alpha", "beta", "mu"].map { manifest.provenance.settings?[$0]?.double }
        if weights.contains(where: { $0 != nil }) {
            table.add("α, β, μ", weights.map { $0.map { "\($0)" } ?? "?" }.joined(separator: ", "))
        }
        if let figures = manifest.provenance.figures {
            table.add("epoch kept", "\(figures.epoch) of \(figures.epochs)")
            table.add("trained on", "\(figures.items) items, \(figures.collaborativeItems) with CF embeddings")
        }
        table.add("weights", "\(manifest.weights.bytes) bytes, SHA-256 \(manifest.weights.sha256)")
        return Self.html(table)
    }

    // MARK: - HTML

    /// A table; a wide one scrolls in its own box.
    static func html(_ table: Table) -> String {
        func cells(_ tag: String, _ texts: [String]) -> String {
            zip(texts, table.columns).map { text, column in
                "<\(tag)\(column.isNumber ? " class=\"n\"" : "")>\(escaped(text))</\(tag)>"
            }.joined()
        }
        let titles = table.columns.map { title in
            // Titles in capitals are for the terminal.
            title.title == title.title.uppercased()
                ? title.title.prefix(1) + title.title.dropFirst().lowercased() : title.title
        }
        let rows = table.rows.map { "<tr>\(cells("td", $0))</tr>" }.joined(separator: "\n")
        return
            "<div class=\"wide\"><table>\n<thead><tr>\(cells("th", titles))</tr></thead>\n<tbody>\n\(rows)\n</tbody>\n"
            + "</table></div>"
    }

    /// Text escaped for HTML and SVG elements and quoted attributes; control characters are shown as `�`.
    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case _ where scalar.properties.generalCategory == .control: result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
