import ArgumentParser

/// `letter tokenizer`: trains, imports, applies, evaluates and shows tokenizer models, without a daemon.
///
/// Plain commands, not asynchronous ones: they block, on the main thread.
struct TokenizerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenizer", abstract: "Train, import, apply, evaluate and show tokenizers.",
        subcommands: [
            TokenizerTrainCommand.self, TokenizerImportCommand.self, TokenizerEncodeCommand.self,
            TokenizerEvaluateCommand.self, TokenizerInspectCommand.self,
        ])
}
