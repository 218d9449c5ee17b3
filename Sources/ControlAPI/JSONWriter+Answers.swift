import Core

/// A value that writes itself without JSONEncoder, in the same form as its Codable conformance.
package protocol JSONWritable: Sendable {
    /// Writes the value. O(bytes written).
    func write(to json: inout JSONWriter)
    /// About how many bytes it takes; the writer reserves them.
    var estimatedBytes: Int { get }
}

extension JSONWritable {
    /// The value as JSON.
    package var jsonBytes: [UInt8] {
        var json = JSONWriter(capacity: estimatedBytes)
        write(to: &json)
        return json.bytes
    }
}

extension ItemAnswer: JSONWritable {
    package var estimatedBytes: Int { 160 + item.bytes.count }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"item\":")
        json.item(item)
        if let codes {
            json.raw(",\"codes\":")
            json.codes(codes)
            json.raw(",\"tokens\":")
            json.tokens(codes)
        } else {
            json.raw(",\"codes\":null,\"tokens\":null")
        }
        json.raw(",\"generation\":")
        json.number(generation)
        switch status {
        case .live: json.raw(",\"status\":\"live\"}")
        case .stale: json.raw(",\"status\":\"stale\"}")
        case .quarantined: json.raw(",\"status\":\"quarantined\"}")
        case .deleted: json.raw(",\"status\":\"deleted\"}")
        case .unknown: json.raw(",\"status\":\"unknown\"}")
        }
    }
}

extension ItemsAnswer: JSONWritable {
    package var estimatedBytes: Int { 64 + items.count * 160 }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"generation\":")
        json.number(generation)
        json.raw(",\"items\":")
        json.array(items) { $1.write(to: &$0) }
        json.raw("}")
    }
}

extension IdentifierAnswer: JSONWritable {
    package var estimatedBytes: Int { 96 + items.count * 32 }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"codes\":")
        json.codes(codes)
        json.raw(",\"items\":")
        json.array(items) { $0.item($1) }
        switch status {
        case .live: json.raw(",\"status\":\"live\"")
        case .deleted: json.raw(",\"status\":\"deleted\"")
        case .unknown: json.raw(",\"status\":\"unknown\"")
        }
        json.raw(",\"generation\":")
        json.number(generation)
        json.raw("}")
    }
}

extension IdentifiersAnswer: JSONWritable {
    package var estimatedBytes: Int { 64 + identifiers.count * 128 }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"generation\":")
        json.number(generation)
        json.raw(",\"more\":")
        json.bool(more)
        json.raw(",\"identifiers\":")
        json.array(identifiers) { $1.write(to: &$0) }
        json.raw("}")
    }
}

extension TrieAnswer: JSONWritable {
    package var estimatedBytes: Int { 96 + next.count * 5 }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"prefix\":")
        json.codes(prefix)
        json.raw(",\"next\":")
        json.array(next) { $0.number(Int($1)) }
        json.raw(",\"items\":")
        json.number(items)
        json.raw(",\"generation\":")
        json.number(generation)
        json.raw("}")
    }
}

extension TrieAnswers: JSONWritable {
    package var estimatedBytes: Int { answers.reduce(64) { $0 + $1.estimatedBytes } }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"generation\":")
        json.number(generation)
        json.raw(",\"answers\":")
        json.array(answers) { $1.write(to: &$0) }
        json.raw("}")
    }
}

extension DumpBatch: JSONWritable {
    package var estimatedBytes: Int { items.count * 64 }

    /// JSON lines, `{"item":…,"codes":[…]}`, one an item. The generation is in the answer's header, not in the lines.
    package func write(to json: inout JSONWriter) {
        for item in items {
            json.raw("{\"item\":")
            json.item(item.item)
            json.raw(",\"codes\":")
            json.codes(item.codes)
            json.raw("}\n")
        }
    }
}
