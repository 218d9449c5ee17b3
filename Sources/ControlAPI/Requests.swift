package import Core

/// Most of what one request may hold. A larger task is done in batches.
package enum RequestLimits {
    /// Items or identifiers in a lookup.
    package static let lookups = 10_000
    /// Prefixes in one call of `trie/next`.
    package static let prefixes = 1000
    /// Rows in a page of a listing.
    package static let page = 10_000
    /// Rows in a page where the request does not say.
    package static let defaultPage = 1000
    /// Bytes of a body.
    package static let body = 64 << 10
    /// Bytes of a batch lookup's body.
    package static let batchBody = 1 << 20
    /// Longest wait, in seconds.
    package static let waitSeconds = 3600.0
}

/// The body of `POST /v1/items/lookup`.
package struct ItemsRequest: Sendable, Hashable {
    package var ids: [ItemID]

    package init(ids: [ItemID]) {
        self.ids = ids
    }

    /// Reads `{"ids": ["…", …]}`. O(bytes).
    package init(json: [UInt8]) throws {
        ids = try member("ids", of: json) { try $0.array(limit: RequestLimits.lookups) { try $0.item() } }
    }
}

extension ItemsRequest: JSONWritable {
    package var estimatedBytes: Int { ids.reduce(16) { $0 + $1.bytes.count + 8 } }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"ids\":")
        json.array(ids) { $0.item($1) }
        json.raw("}")
    }
}

/// The body of `POST /v1/identifiers/lookup`.
package struct IdentifiersRequest: Sendable, Hashable {
    package var identifiers: [Identifier]

    package init(identifiers: [Identifier]) {
        self.identifiers = identifiers
    }

    /// Reads `{"identifiers": ["12-3-7-0", [12,3,7,0], …]}`.
    package init(json: [UInt8]) throws {
        identifiers = try member("identifiers", of: json) {
            try $0.array(limit: RequestLimits.lookups) { try $0.identifier() }
        }
    }
}

extension IdentifiersRequest: JSONWritable {
    package var estimatedBytes: Int { 32 + identifiers.count * 24 }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"identifiers\":")
        json.array(identifiers) { $0.codes($1) }
        json.raw("}")
    }
}

/// The body of `POST /v1/trie/next`.
package struct NextRequest: Sendable, Hashable {
    package var prefixes: [Identifier]

    package init(prefixes: [Identifier]) {
        self.prefixes = prefixes
    }

    /// Reads `{"prefixes": ["12-3", [12,3], "", …]}`.
    package init(json: [UInt8]) throws {
        prefixes = try member("prefixes", of: json) {
            try $0.array(limit: RequestLimits.prefixes) { try $0.identifier() }
        }
    }
}

extension NextRequest: JSONWritable {
    package var estimatedBytes: Int { 32 + prefixes.count * 24 }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"prefixes\":")
        json.array(prefixes) { $0.codes($1) }
        json.raw("}")
    }
}

/// The body of `POST /v1/generations`.
package struct PublishRequest: Sendable, Hashable {
    package var upload: UploadName

    package init(upload: UploadName) {
        self.upload = upload
    }

    /// Reads `{"upload": "name"}`.
    package init(json: [UInt8]) throws {
        upload = try member("upload", of: json) {
            let text = try $0.string()
            guard let name = UploadName(text) else { throw ControlFailure.badUploadName(text) }
            return name
        }
    }
}

extension PublishRequest: JSONWritable {
    package var estimatedBytes: Int { 96 }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"upload\":")
        json.string(upload.text)
        json.raw("}")
    }
}

/// The body of `POST /v1/wait`.
package struct WaitRequest: Sendable, Hashable {
    /// Seconds, 0 to 3,600.
    package var timeoutSeconds: Double

    package init(timeoutSeconds: Double) {
        self.timeoutSeconds = timeoutSeconds
    }

    /// Reads `{"timeout_seconds": 30}`.
    package init(json: [UInt8]) throws {
        timeoutSeconds = try member("timeout_seconds", of: json) { try $0.double() }
        guard (0...RequestLimits.waitSeconds).contains(timeoutSeconds) else {
            throw ControlFailure(
                "control.bad_timeout", .usage, "A wait lasts 0 to \(Int(RequestLimits.waitSeconds)) seconds.",
                remedy: "Give a time in that range, and wait again if need be.")
        }
    }
}

extension WaitRequest: JSONWritable {
    package var estimatedBytes: Int { 48 }

    package func write(to json: inout JSONWriter) {
        json.raw("{\"timeout_seconds\":")
        json.number(Int(timeoutSeconds.rounded(.up)))
        json.raw("}")
    }
}

extension ControlFailure {
    /// An identifier or prefix that cannot be read.
    package static func badIdentifier(_ text: String) -> ControlFailure {
        ControlFailure(
            "control.bad_identifier", .usage, "‘\(text.prefix(100))’ is not an identifier or a prefix of one.",
            remedy: "Write codes as 12-3-7-0 or <a_12><b_3><c_7><d_0>, each 0 to 65535, at most 9 of them.")
    }

    /// A name of an upload that cannot be one.
    package static func badUploadName(_ text: String) -> ControlFailure {
        ControlFailure(
            "control.bad_upload_name", .usage, "‘\(text.prefix(100))’ cannot name an upload.",
            remedy: "Use 1 to 64 of a-z, 0-9, dot, underscore and hyphen, not starting with a dot.")
    }
}

/// Reads an object whose only member is `name`.
private func member<Value>(
    _ name: String, of json: [UInt8], _ read: (inout JSONReader) throws -> Value
) throws -> Value {
    var reader = JSONReader(json)
    var value: Value?
    try reader.object { reader, found in
        guard found == name else { throw reader.failure("unknown member; expected \"\(name)\"") }
        value = try read(&reader)
    }
    guard let value else { throw ControlFailure.badJSON("\"\(name)\" is missing") }
    return value
}
