import ArgumentParser
import ControlAPI
import ControlClient
import Core

/// `letter identifier`: the items that have identifiers.
struct IdentifierCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "identifier", abstract: "Look up the items that have these identifiers.",
        discussion: "Exits with 1 if any of them belongs to no item; all answers are printed all the same.")

    @Argument(
        help: "Identifiers, as 12-3-7-0 or <a_12><b_3><c_7><d_0>; - reads them from standard input, one per line.")
    var codes: [String]

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = connection.client()
        var array = output.json ? JSONArrayOutput() : nil
        var missing = 0
        var isFirst = true
        try await forEachBatch(codes) { batch in
            let answer = try await client.identifiers(try batch.map(identifierArgument))
            missing += answer.identifiers.count { $0.items.isEmpty }
            if output.json {
                array?.append(answer.identifiers)
            } else {
                var table = Table(.text("CODES"), .text("STATUS"), .number("GENERATION"), .text("ITEMS"))
                for identifier in answer.identifiers { table.add(identifier) }
                for line in table.lines(width: Terminal.width).dropFirst(isFirst ? 0 : 1) { Terminal.line(line) }
            }
            isFirst = false
        }
        array?.finish()
        if missing > 0 { throw ExitCode(1) }
    }
}

extension Table {
    /// A row of the columns codes, status, generation and items.
    mutating func add(_ answer: IdentifierAnswer) {
        let items = answer.items.map(\.text).joined(separator: " ")
        add(
            answer.codes.description, answer.status.rawValue, Output.number(answer.generation),
            items.isEmpty ? Output.nothing : items)
    }
}
