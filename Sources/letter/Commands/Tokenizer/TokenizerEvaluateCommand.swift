import ArgumentParser
import Core
import Datasets
import Files
import Foundation
import Numerics
import Tokenizer
import TokenizerEvaluation

extension Similarity: ExpressibleByArgument {
    init?(argument: String) { self.init(rawValue: argument.replacing("-", with: "_")) }

    static var allValueStrings: [String] { allCases.map { $0.rawValue.replacing("_", with: "-") } }
}

/// `letter tokenizer evaluate`: measures how well a tokenizer fits a catalog.
struct TokenizerEvaluateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Measure how well a tokenizer fits a catalog.",
        discussion: """
            Measures the natural codes, before any collision policy: collisions, use of codes, quantisation errors, codes \
            shared with nearest neighbours, purity of prefixes. Docs/evaluation.md explains the figures; \
            Schema/evaluation.md describes the JSON.
            """)

    @Argument(help: "Directory of the model.")
    var model: String

    @Option(help: ArgumentHelp("Catalog to evaluate on.", valueName: "dir"))
    var catalog: String

    @OptionGroup var output: OutputOptions

    @Option(
        help: ArgumentHelp("Also write a report with figures to this file (HTML, self-contained).", valueName: "file"))
    var html: String?

    @Option(
        help: ArgumentHelp(
            "File with ids of items that were held out of training, one per line; their errors are reported separately.",
            valueName: "file"))
    var heldOut: String?

    @Option(help: "Similarity of embeddings.")
    var similarity = Similarity.cosine

    @Option(
        help: ArgumentHelp(
            "Field of the items' JSON that has their categories, such as categories.", valueName: "field"))
    var categoryField: String?

    @Option(
        help: ArgumentHelp(
            "File of items to read --category-field from, one JSON object with an \"id\" per line (default: the catalog).",
            valueName: "file"))
    var items: String?

    @Option(help: ArgumentHelp("Number of items at most whose nearest neighbours are searched.", valueName: "n"))
    var neighbourQueries = 20_000

    @Option(help: ArgumentHelp("Number of threads of the neighbour search; one per CPU if not given.", valueName: "n"))
    var threads = ProcessInfo.processInfo.activeProcessorCount

    func validate() throws {
        guard neighbourQueries > 0, threads > 0 else {
            throw ValidationError("--neighbour-queries and --threads must be positive.")
        }
        guard items == nil || categoryField != nil else {
            throw ValidationError("--items needs --category-field.")
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
        let bar = ProgressBar(label: "evaluating", total: 0, unit: "steps")
        defer { bar.finish() }
        var steps = 0
        let result = try Evaluator(model: tokenizer).evaluate(input) { step in
            bar.update(steps, note: step)
            steps += 1
        }
        bar.update(steps)
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

    /// Rows of the ids that a file lists. Ids whose items are not in the catalog, or cannot be encoded, are ignored: some
    /// held-out items may have been deleted since the list was made.
    private func rows(listedIn path: String, of ids: [ItemID]) throws -> [Int] {
        let rows = Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($1, $0) })
        var found: Set<Int> = []
        for (number, line) in try FileSystem.read(path, limit: 1 << 32).split(separator: 0x0A).enumerated() {
            let line = line.last == 0x0D ? line.dropLast() : line
            guard !line.isEmpty else { continue }
            guard let text = String(validating: line, as: UTF8.self), let id = ItemID(text: text) else {
                throw TokenizerCommandError(
                    .badItem, "Line \(number + 1) of \(path) is not an item id.",
                    remedy: "An id has 1 to \(ItemID.maximumLength) bytes, as text or as base64:….")
            }
            if let row = rows[id] { found.insert(row) }
        }
        guard !found.isEmpty else {
            throw TokenizerCommandError(
                .badItem, "None of the items that \(path) lists is in \(catalog).",
                remedy: "Give ids of this catalog's items, one per line.")
        }
        return found.sorted()
    }
}
