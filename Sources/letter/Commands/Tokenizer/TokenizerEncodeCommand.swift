import ArgumentParser
import Core
import Files
import Foundation
import Tokenizer

/// `letter tokenizer encode`: computes the codes of a file of embeddings.
struct TokenizerEncodeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encode", abstract: "Compute the codes of a file of embeddings.",
        discussion: """
            The output is int32, items × levels: the natural codes, before any collision is resolved.

            --balance applies the published balancing to them: it reassigns the last codes of items that collide, one \
            group at a time, in up to 20 rounds. Items with equal embeddings keep equal codes. The result for an item \
            depends on the other embeddings in the file, so use it for whole catalogs.
            """)

    @Argument(help: "Directory of the model.")
    var model: String

    @Option(help: ArgumentHelp("File of embeddings (.npy), one row per item.", valueName: "file"))
    var embeddings: String

    @Option(help: ArgumentHelp("File to write (.npy).", valueName: "file"))
    var output: String

    @Flag(help: "Reassign the last codes of items that collide.")
    var balance = false

    @Option(
        help: ArgumentHelp("Number of threads, one per CPU if not given; has no effect on the codes.", valueName: "n"))
    var threads = ProcessInfo.processInfo.activeProcessorCount

    func validate() throws {
        guard threads > 0 else { throw ValidationError("--threads must be positive.") }
    }

    func run() throws {
        let encoder = ParallelEncoder(model: try ModelDirectory.load(model), threads: threads)
        let file = try NumPyFile(embeddings)
        guard file.columns == encoder.model.inputWidth else {
            throw TokenizerCommandError(
                .wrongWidth,
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
                throw TokenizerCommandError(
                    .notFinite,
                    "Row \(range.lowerBound + row) of \(embeddings) has values that are not finite or too large.",
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
                "balanced: \(outcome.sharedBefore) items shared an identifier before, \(outcome.sharedAfter) after "
                    + "\(outcome.rounds) rounds; \(outcome.moved) items have a new last code\n")
        }
        try NumPyFile.write(output, codes.map(Int32.init), columns: encoder.model.levels)
    }
}
