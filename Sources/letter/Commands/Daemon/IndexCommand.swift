import ArgumentParser

/// `letter index`: checks and rebuilds indexes.
struct IndexCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "index", abstract: "Verify an index, or rebuild it from its journal.",
        subcommands: [IndexVerifyCommand.self, IndexRebuildCommand.self])
}
