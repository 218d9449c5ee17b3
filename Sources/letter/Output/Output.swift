import ControlAPI
import FoundationEssentials
import Core

/// The one place that turns answers into output: JSON for programs, or what `table` prints for people.
enum Output {
    /// Prints a value as one line of JSON, or leaves it to `people`.
    static func show(_ value: some Encodable, asJSON: Bool, people: () -> Void) throws {
        guard asJSON else { return people() }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        Terminal.write(try encoder.encode(value) + [0x0A])
    }

    /// The same for values that write themselves.
    static func show(json value: some JSONWritable, asJSON: Bool, people: () -> Void) {
        guard asJSON else { return people() }
        Terminal.write(value.jsonBytes + [0x0A])
    }

    /// What is printed where there is nothing.
    static let nothing = "—"

    /// Codes for people.
    static func codes(_ identifier: Identifier?) -> String { identifier.map(\.description) ?? nothing }

    /// A number, or nothing.
    static func number(_ value: (some BinaryInteger)?) -> String { value.map { "\($0)" } ?? nothing }
}

/// A JSON array that is printed as its elements come, one a line; nothing is printed before the first.
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
    private let body: ErrorBody

    init(_ failure: any Failure) {
        body = ErrorBody(failure)
    }

    /// Writes it: one JSON object, or lines for people.
    func write(asJSON: Bool) {
        if asJSON {
            var json = JSONWriter()
            json.raw("{\"code\":")
            json.string(body.code)
            json.raw(",\"message\":")
            json.string(body.message)
            json.raw(",\"remedy\":")
            json.string(body.remedy)
            json.raw("}\n")
            Terminal.error(String(decoding: json.bytes, as: UTF8.self))
        } else {
            Terminal.error("letter: \(body.message)\n        \(body.remedy) [\(body.code)]\n")
        }
    }
}
