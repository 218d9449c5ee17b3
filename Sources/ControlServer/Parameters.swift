import ControlAPI
import Core

/// The parameters of a request: those in its path and those in its query.
struct Parameters {
    /// Segments of the path by their names in the route's template, percent-decoded.
    let path: [String: [UInt8]]
    var query: Query

    /// The item id in the path.
    func item(_ name: String) throws -> ItemID { try ItemID(parameter: path[name] ?? []) }

    /// The upload's name in the path.
    func uploadName(_ name: String) throws -> UploadName {
        let text = String(decoding: path[name] ?? [], as: UTF8.self)
        guard let upload = UploadName(text) else { throw ControlError.badUploadName(text) }
        return upload
    }

    /// The whole number in the path that names a `thing`.
    func wholeNumber(_ name: String, of thing: String) throws -> Int {
        try Int(parameter: path[name] ?? [], name: thing)
    }
}

/// The query of a URI. Each parameter is read once; what is left at the end is an error.
struct Query {
    private var parameters: [String: [UInt8]] = [:]

    init(_ text: Substring.UTF8View) throws {
        for pair in text.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(decoding: try Percent.decode(parts[0]), as: UTF8.self)
            let value = parts.count > 1 ? try Percent.decode(parts[1], plusIsSpace: true) : []
            guard parameters.updateValue(value, forKey: name) == nil else {
                throw ControlError(
                    .badParameter, "The parameter \(name.prefix(100)) is repeated.", remedy: "Give it once.")
            }
        }
    }

    mutating func identifier(_ name: String) throws -> Identifier? {
        guard let value = parameters.removeValue(forKey: name) else { return nil }
        let text = String(decoding: value, as: UTF8.self)
        guard let identifier = Identifier(text: text) else { throw ControlError.badIdentifier(text) }
        return identifier
    }

    mutating func item(_ name: String) throws -> ItemID? {
        try parameters.removeValue(forKey: name).map { try ItemID(parameter: $0) }
    }

    /// `limit`, or the default size of a page.
    mutating func limit() throws -> Int {
        guard let value = parameters.removeValue(forKey: "limit") else { return RequestLimits.defaultPage }
        guard let limit = try? Int(parameter: value, name: "limit"), (1...RequestLimits.page).contains(limit) else {
            throw ControlError.badParameter("limit", value, "a number from 1 to \(RequestLimits.page)")
        }
        return limit
    }

    /// A whole number; nil if it is not given.
    mutating func number(_ name: String) throws -> Int? {
        try parameters.removeValue(forKey: name).map { try Int(parameter: $0, name: name) }
    }

    /// `true` or `false`; false if it is not given.
    mutating func flag(_ name: String) throws -> Bool {
        guard let value = parameters.removeValue(forKey: name) else { return false }
        switch String(decoding: value, as: UTF8.self) {
        case "true": return true
        case "false": return false
        default: throw ControlError.badParameter(name, value, "true or false")
        }
    }

    /// Throws if a parameter was not read: the route does not have it.
    func end() throws {
        guard let name = parameters.keys.min() else { return }
        throw ControlError(
            .badParameter, "This route has no parameter \(name.prefix(100)).",
            remedy: "See Schema/control.openapi.yaml for its parameters.")
    }
}

extension ItemID {
    /// An item id in a path or query: its text form, or any bytes percent-encoded.
    fileprivate init(parameter bytes: [UInt8]) throws {
        let id =
            if let text = String(validating: bytes, as: UTF8.self) { ItemID(text: text) } else { ItemID(bytes) }
        guard let id else {
            throw ControlError.badParameter(
                "item", bytes, "1 to \(ItemID.maximumLength) bytes, as text or as base64:…")
        }
        self = id
    }
}

extension Int {
    /// A whole number of at most nine digits.
    fileprivate init(parameter bytes: [UInt8], name: String) throws {
        guard (1...9).contains(bytes.count), bytes.allSatisfy({ (48...57).contains($0) }) else {
            throw ControlError.badParameter(name, bytes, "a whole number")
        }
        self = bytes.reduce(0) { $0 * 10 + Int($1 - 48) }
    }
}

extension ControlError {
    fileprivate static func badParameter(_ name: String, _ value: [UInt8], _ expected: String) -> ControlError {
        let text = String(decoding: value, as: UTF8.self)
        return ControlError(.badParameter, "‘\(text.prefix(100))’ is not a valid \(name).", remedy: "Give \(expected).")
    }
}

/// Percent-encoding of RFC 3986.
enum Percent {
    /// The bytes that the text encodes.
    ///
    /// - Throws: `control.bad_uri` where a `%` is not followed by two hexadecimal digits.
    static func decode(_ text: Substring.UTF8View, plusIsSpace: Bool = false) throws -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else {
                    throw ControlError(
                        .badURI, "A percent sign of the URI is not followed by two digits.",
                        remedy: "Write a percent sign itself as %25.")
                }
                result.append(high << 4 | low)
            } else {
                result.append(plusIsSpace && byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return result
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
}
