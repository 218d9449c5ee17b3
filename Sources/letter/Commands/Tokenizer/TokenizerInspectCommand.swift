import ArgumentParser
import Tokenizer

/// `letter tokenizer inspect`: shows a model.
struct TokenizerInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Check a model, and show its format and provenance.")

    @Argument(help: "Directory of the model.")
    var model: String

    @OptionGroup var output: OutputOptions

    func run() throws {
        // Reads the weights too, so that what is shown was checked.
        _ = try ModelDirectory.load(model)
        let manifest = try ModelDirectory.manifest(model)
        try Output.show(manifest, asJSON: output.json) {
            var table = Table(.text("MODEL"), .text(model))
            let widths = [manifest.inputWidth] + manifest.hiddenWidths + [manifest.latentWidth]
            table.add("encoder", widths.map(String.init).joined(separator: " → "))
            table.add("decoder", manifest.hasDecoder ? "kept" : Output.nothing)
            table.add("codes", "\(manifest.levels) × \(manifest.codesPerLevel)")
            let scaling = manifest.inputScaling
            table.add("scaling", "\(scaling.unitLength ? "unit length" : "as given") × \(scaling.factor)")
            table.add("embeddings by", manifest.provenance.embeddingModel ?? Output.nothing)
            table.add("created by", manifest.provenance.createdBy)
            if let seed = manifest.provenance.seed { table.add("seed", "\(seed)") }
            if let figures = manifest.provenance.figures {
                table.add("trained on", "\(figures.items) items, \(figures.collaborativeItems) with CF embeddings")
                table.add("epoch kept", "\(figures.epoch) of \(figures.epochs)")
                table.add("collision rate", "\(figures.collisionRate)")
                table.add("codes used", figures.codesUsed.map(String.init).joined(separator: ", "))
                table.add("loss", "\(figures.losses.total)")
            }
            table.add("weights", "\(manifest.weights.bytes) bytes, SHA-256 \(manifest.weights.sha256)")
            table.print()
        }
    }
}
