import ArgumentParser
import ControlAPI
import ControlClient
import Core

/// `letter item`: the identifiers of items.
struct ItemCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "item", abstract: "Look up the identifiers of items.",
        discussion: "Exits with 1 if any of them has no identifier; all answers are printed all the same.")

    @Argument(help: "Item ids, as text or base64:…; - reads them from standard input, one per line.")
    var ids: [String]

    @Flag(help: "Print JSON lines: one object per item.")
    var jsonLines = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let client = connection.client()
        var array = output.json && !jsonLines ? JSONArrayOutput() : nil
        var missing = 0
        var isFirst = true
        try await forEachBatch(ids) { batch in
            let answer = try await client.items(try batch.map(itemArgument))
            missing += answer.items.count { $0.codes == nil }
            if jsonLines {
                Terminal.write(answer.items.flatMap { $0.jsonBytes + [0x0A] })
            } else if output.json {
                array?.append(answer.items)
            } else {
                Self.print(answer.items, titled: isFirst)
            }
            isFirst = false
        }
        array?.finish()
        if missing > 0 { throw ExitCode(1) }
    }

    private static func print(_ items: [ItemAnswer], titled: Bool) {
        var table = Table(.text("ITEM"), .text("CODES"), .text("TOKENS"), .number("GENERATION"), .text("STATUS"))
        for item in items {
            table.add(
                item.item.text, Output.codes(item.codes), item.codes?.tokens ?? Output.nothing,
                Output.number(item.generation), item.status.rawValue)
        }
        for line in table.lines(width: Terminal.width).dropFirst(titled ? 0 : 1) { Terminal.line(line) }
    }
}
