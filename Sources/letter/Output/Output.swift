import ControlAPI
import Core

/// Turns answers into output: JSON for programs, or a table for people.
enum Output {
    /// Prints a value as one line of JSON, or lets `people` print it.
    static func show(_ value: some Encodable, asJSON: Bool, people: () -> Void) throws {
        guard asJSON else { return people() }
        Terminal.write(try WireJSON.encode(value) + [0x0A])
    }

    /// The same for values that write themselves.
    static func show(json value: some JSONWritable, asJSON: Bool, people: () -> Void) {
        guard asJSON else { return people() }
        Terminal.write(value.jsonBytes + [0x0A])
    }

    /// Printed where there is no value.
    static let nothing = "—"

    /// Codes for people.
    static func codes(_ identifier: Identifier?) -> String { identifier.map(\.description) ?? nothing }

    /// A number, or a dash.
    static func number(_ value: (some BinaryInteger)?) -> String { value.map { "\($0)" } ?? nothing }
}

/// A JSON array that is printed element by element, one a line; nothing is printed before the first.
struct JSONArrayOutput {
    private var isEmpty = true

    init() {}

    /// Prints elements.
    mutating func append(_ elements: [some JSONWritable]) {
        var json = JSONWriter(capacity: elements.count * 160)
        for element in elements {
            json.raw(isEmpty ? "[\n" : ",\n")
            isEmpty = false
            element.write(to: &json)
        }
        Terminal.write(json.bytes)
    }

    /// Prints the end.
    func finish() { Terminal.write((isEmpty ? "[]\n" : "\n]\n").utf8) }
}

/// A failure as it is reported on standard error.
struct ErrorReport {
    private var body: ErrorBody

    init(_ failure: any Failure) {
        body = ErrorBody(failure)
        // The exit status has it.
        body.kind = nil
    }

    /// Writes it: one JSON object, or lines for people.
    func write(asJSON: Bool) {
        if asJSON {
            Terminal.error(String(decoding: body.json, as: UTF8.self) + "\n")
        } else {
            Terminal.error("letter: \(body.message)\n        \(body.remedy) [\(body.code)]\n")
        }
    }
}
