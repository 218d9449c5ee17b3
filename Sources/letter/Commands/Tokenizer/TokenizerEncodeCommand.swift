import ArgumentParser
import Files
import Foundation
import Tokenizer
import Core

struct TokenizerEncodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encode", abstract: "Write the codes of a file of embeddings.",
        discussion: """
            The output is int32, items × levels: natural codes, before any collision is resolved; with --balance what \
            the published balancing makes of them. It re-assigns the last code of items that collide, each group alone, \
            in up to 20 rounds; items with equal embeddings stay together. Other embeddings in the file may change what \
            an item gets, so it suits whole catalogs.
            """)

    @Argument(help: "Directory of the model.")
    var model: String

    @Option(help: "File of embeddings (.npy, one row an item).")
    var embeddings: String

    @Option(help: "File to write (.npy).")
    var output: String

    @Flag(help: "Part items that collide, as far as the last level can.")
    var balance = false

    @Option(help: "Threads (default: one for each CPU). The codes do not depend on it.")
    var threads = ProcessInfo.processInfo.activeProcessorCount

    func validate() throws {
        guard threads > 0 else { throw ValidationError("--threads is positive.") }
    }

    func run() throws {
        let encoder = ParallelEncoder(model: try ModelDirectory.load(model), threads: threads)
        let file = try NumPyFile(embeddings)
        guard file.columns == encoder.model.inputWidth else {
            throw CommandFailure(
                "tokenizer.wrong_width", .invalid,
                "\(embeddings) has embeddings of width \(file.columns); the model takes \(encoder.model.inputWidth).",
                remedy: "Give embeddings of the model that the tokenizer was trained on.")
        }
        let bar = ProgressBar(label: "encoding", total: file.rows, unit: "items")
        defer { bar.finish() }
        var codes: [Code] = []
        var latents: [Float] = []
        codes.reserveCapacity(file.rows * encoder.model.levels)
        let begin = ContinuousClock.now
        try encoder.encode(count: file.rows, read: { try file.floats($0) }) { range, encoding in
            if let row = encoding.unusable.first {
                throw CommandFailure(
                    "tokenizer.not_finite", .invalid,
                    "Row \(range.lowerBound + row) of \(embeddings) holds values that are not finite or too large.",
                    remedy: "Correct or remove it; nothing was written.")
            }
            codes += encoding.codes
            if balance { latents += encoding.latents }
            bar.update(range.upperBound)
        }
        let seconds = begin.duration(to: .now) / .seconds(1)
        bar.finish()
        Terminal.error(
            String(
                format: "encoded %d items in %.2f s (%.0f items/s)\n", file.rows, seconds, Double(file.rows) / seconds))
        if balance {
            let outcome = try Balancing().balance(codes: codes, latents: latents, model: encoder.model)
            codes = outcome.codes
            Terminal.error(
                "balanced: \(outcome.sharedBefore) items shared an identifier, \(outcome.sharedAfter) do after "
                    + "\(outcome.rounds) rounds; \(outcome.moved) items have another last code\n")
        }
        try NumPyFile.write(output, codes.map(Int32.init), columns: encoder.model.levels)
    }
}
