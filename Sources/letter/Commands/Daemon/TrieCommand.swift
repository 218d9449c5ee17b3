import ArgumentParser

/// `letter trie`: what lies below a prefix.
struct TrieCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trie", abstract: "Look at the trie of live identifiers.",
        subcommands: [TrieNextCommand.self, TrieItemsCommand.self])
}
