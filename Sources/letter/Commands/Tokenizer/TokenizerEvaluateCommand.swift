import ArgumentParser
import Files
import Foundation
import Numerics
import Tokenizer
import TokenizerEvaluation
import Core
import Datasets

extension Similarity: ExpressibleByArgument {
    init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }
}

struct TokenizerEvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Measure what a tokenizer makes of a catalog.",
        discussion: """
            Natural codes, before any collision policy: collisions, use of codes, errors, codes shared with the nearest \
            neighbours, purity of prefixes. Docs/evaluation.md says how to read the figures, Schema/evaluation.md what \
            the JSON holds.
            """)

    @Argument(help: "Directory of the model.")
    var model: String

    @Option(help: "Catalog to evaluate on.")
    var catalog: String

    @OptionGroup var output: OutputOptions

    @Option(help: "Write a report with figures too: one HTML file that needs nothing else.")
    var html: String?

    @Option(help: "Ids of items that training has not seen, one a line; their errors are reported apart.")
    var heldOut: String?

    @Option(help: "How near embeddings are: cosine or inner-product.")
    var similarity = Similarity.cosine

    @Option(help: "Field of the items' JSON that has their categories, such as categories.")
    var categoryField: String?

    @Option(help: "File of items to take it from instead of the catalog: a JSON object with an \"id\" a line.")
    var items: String?

    @Option(help: "Look for the neighbours of so many items at most.")
    var neighbourQueries = 20_000

    @Option(help: "Threads of the search for neighbours (default: one for each CPU).")
    var threads = ProcessInfo.processInfo.activeProcessorCount

    func validate() throws {
        guard neighbourQueries > 0, threads > 0 else {
            throw ValidationError("--neighbour-queries and --threads are positive.")
        }
        guard items == nil || categoryField != nil else {
            throw ValidationError("--items goes with --category-field.")
        }
    }

    func run() throws {
        let tokenizer = try ModelDirectory.load(model)
        let data = try CatalogMatrix(catalog: catalog)
        var input = EvaluationInput(semantic: data.semantic)
        input.collaborative = data.collaborative
        input.collaborativeMask = data.mask
        input.similarity = similarity
        input.neighbourQueries = neighbourQueries
        input.threads = threads
        input.unseen = try heldOut.map { try rows(listedIn: $0, of: data.ids) }
        input.categories = try categories(of: data.ids)
        let bar = ProgressBar(label: "evaluating", total: 0, unit: "parts")
        defer { bar.finish() }
        var parts = 0
        let result = try Evaluator(model: tokenizer).evaluate(input) { part in
            bar.update(parts, note: part)
            parts += 1
        }
        bar.update(parts)
        bar.finish()
        if let html {
            let report = HTMLReport(
                model: model, catalog: catalog, manifest: try ModelDirectory.manifest(model), result: result,
                maps: tokenizer.codebooks.map { CodeMap($0) }, categoryField: categoryField)
            try FileSystem.replace(html, with: Array(report.text().utf8))
        }
        try Output.show(result.evaluation, asJSON: output.json) {
            for (number, table) in EvaluationTables(result.evaluation).all.enumerated() {
                if number > 0 { Terminal.line("") }
                table.table.print()
            }
        }
    }

    private func categories(of ids: [ItemID]) throws -> [[String]]? {
        guard let categoryField else { return nil }
        if let items { return try readCategories(itemsFile: items, field: categoryField, of: ids) }
        return try readCategories(catalog: catalog, field: categoryField, of: ids)
    }

    /// Rows of the ids that a file lists. An id that the catalog has not, or not in a form that can be encoded, is
    /// passed over: a list of held-out items outlives some of them.
    private func rows(listedIn path: String, of ids: [ItemID]) throws -> [Int] {
        let rows = Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($1, $0) })
        var found: Set<Int> = []
        for (number, line) in try FileSystem.read(path, limit: 1 << 32).split(separator: 0x0A).enumerated() {
            let line = line.last == 0x0D ? line.dropLast() : line
            guard !line.isEmpty else { continue }
            guard let text = String(validating: line, as: UTF8.self), let id = ItemID(text: text) else {
                throw CommandFailure(
                    "tokenizer.bad_item", .invalid, "Line \(number + 1) of \(path) is no item id.",
                    remedy: "An id has 1 to \(ItemID.maximumLength) bytes, as text or as base64:….")
            }
            if let row = rows[id] { found.insert(row) }
        }
        guard !found.isEmpty else {
            throw CommandFailure(
                "tokenizer.bad_item", .invalid, "None of the items that \(path) lists is in \(catalog).",
                remedy: "Give the ids of this catalog's items, one a line.")
        }
        return found.sorted()
    }
}
