import ArgumentParser

/// `letter tokenizer …`: trains, imports, applies, measures and shows tokenizer models, without a daemon.
///
/// Plain commands, not asynchronous ones: they block, and run on the main thread rather than the cooperative pool.
struct TokenizerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer", abstract: "Train, import, apply, measure and show tokenizers.",
        subcommands: [
            TokenizerTrainCommand.self, TokenizerImportCommand.self, TokenizerEncodeCommand.self,
            TokenizerEvaluateCommand.self,
            TokenizerInspectCommand.self,
        ])
}
