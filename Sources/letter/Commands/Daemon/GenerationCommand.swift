import ArgumentParser
import ControlAPI
import Core

/// `letter generation`: the generations that the daemon serves.
struct GenerationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generation", abstract: "Publish, list and promote generations.",
        discussion: "A generation is a published tokenizer with the index of all items' identifiers.",
        subcommands: [GenerationPublishCommand.self, GenerationListCommand.self, GenerationPromoteCommand.self])
}

extension Table {
    /// A table of generations.
    static func generations(_ generations: [GenerationInfo]) -> Table {
        var table = Table(
            .number("GENERATION"), .text("STATE"), .number("ITEMS"), .number("BUILT"), .text("LEVELS"),
            .text("POLICY"), .text("CREATED"), .text("PROMOTED"), .text("FAILURE"))
        for info in generations {
            let levels = info.model?.codebookSizes.map { "\($0)" }.joined(separator: "×")
            table.add(
                "\(info.number)", info.state.rawValue, "\(info.items)", "\(Int(info.progress * 100)) %",
                levels ?? Output.nothing, info.collisionPolicy?.rawValue ?? Output.nothing, info.created.text,
                info.promoted?.text ?? Output.nothing,
                info.failure?.message ?? "")
        }
        return table
    }
}

extension GenerationInfo {
    /// The warnings about this generation, two lines each, for people.
    var warningText: String {
        warnings.map { "warning: generation \(number): \($0.message) [\($0.code)]\n         \($0.remedy)\n" }.joined()
    }
}
