import ArgumentParser

/// `letter trie`: the live identifiers below a prefix.
struct TrieCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trie", abstract: "Show the trie of live identifiers.",
        subcommands: [TrieNextCommand.self, TrieItemsCommand.self])
}
