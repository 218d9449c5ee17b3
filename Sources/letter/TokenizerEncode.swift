internal import ArgumentParser
internal import Files
internal import Tokenizer
internal import Vocabulary

struct TokenizerEncode: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encode", abstract: "Write the natural codes of a file of embeddings.",
        discussion: "The output is int32, items × levels: codes before any collision is resolved.")

    @Argument(help: "Directory of the model.")
    var model: String

    @Option(help: "File of embeddings (.npy, one row an item).")
    var embeddings: String

    @Option(help: "File to write (.npy).")
    var output: String

    func run() throws {
        let encoder = FrozenEncoder(model: try ModelDirectory.load(model))
        let file = try NumPyFile(embeddings)
        guard file.columns == encoder.model.inputWidth else {
            throw CommandFailure(
                "tokenizer.wrong_width", .invalid,
                "\(embeddings) has embeddings of width \(file.columns); the model takes \(encoder.model.inputWidth).",
                remedy: "Give embeddings of the model that the tokenizer was trained on.")
        }
        let bar = ProgressBar(label: "encoding", total: file.rows, unit: "items")
        defer { bar.finish() }
        var codes: [Int32] = []
        codes.reserveCapacity(file.rows * encoder.model.levels)
        for start in stride(from: 0, to: file.rows, by: 8192) {
            let end = min(start + 8192, file.rows)
            let encoding = try encoder.encode(file.floats(start..<end), count: end - start)
            if let row = encoding.unusable.first {
                throw CommandFailure(
                    "tokenizer.not_finite", .invalid,
                    "Row \(start + row) of \(embeddings) holds values that are not finite or too large.",
                    remedy: "Correct or remove it; nothing was written.")
            }
            codes += encoding.codes.map(Int32.init)
            bar.update(end)
        }
        try NumPyFile.write(output, codes, columns: encoder.model.levels)
    }
}
