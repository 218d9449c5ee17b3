package import Core

/// The limits of one request. Larger tasks are done in several requests.
package enum RequestLimits {
    /// Items or identifiers in a look-up.
    package static let lookups = 10_000
    /// Prefixes in one call of `trie/next`.
    package static let prefixes = 1000
    /// Rows in a page of a listing.
    package static let page = 10_000
    /// Rows in a page if the request does not say.
    package static let defaultPage = 1000
    /// Bytes of a body.
    package static let body = 64 << 10
    /// Bytes of a batch look-up's body.
    package static let batchBody = 1 << 20
    /// Longest wait, in seconds.
    package static let waitSeconds = 3600.0
}

// MARK: - Batch look-ups, read and written byte by byte

/// The body of `POST /v1/items/lookup`.
package struct ItemsRequest: Sendable, Hashable {
    package var ids: [ItemID]

    package init(ids: [ItemID]) {
        self.ids = ids
    }

    /// Reads `{"ids": ["…", …]}`. O(bytes).
    ///
    /// - Throws: `control.bad_json`, `control.bad_item_id`, `control.batch_too_large`.
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

    /// Reads `{"identifiers": ["12-3-7-0", [12,3,7,0], …]}`. O(bytes).
    ///
    /// - Throws: `control.bad_json`, `control.bad_identifier`, `control.batch_too_large`.
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

    /// Reads `{"prefixes": ["12-3", [12,3], "", …]}`. O(bytes).
    ///
    /// - Throws: `control.bad_json`, `control.bad_identifier`, `control.batch_too_large`.
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
    guard let value else { throw ControlError.badJSON("\"\(name)\" is missing") }
    return value
}

// MARK: - Small requests

/// The body of `POST /v1/generations`: `{"upload": "name"}`.
package struct PublishRequest: JSONRequest, Hashable {
    package var upload: UploadName

    package static let members: Set = ["upload"]

    package init(upload: UploadName) {
        self.upload = upload
    }
}

/// The body of `POST /v1/wait`: `{"timeout_seconds": 30}`.
package struct WaitRequest: JSONRequest, Hashable {
    /// Seconds, 0 to 3,600.
    package var timeoutSeconds: Double

    package static let members: Set = ["timeout_seconds"]

    package init(timeoutSeconds: Double) {
        self.timeoutSeconds = timeoutSeconds
    }

    /// - Throws: `control.bad_timeout` for a time out of range.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        timeoutSeconds = try container.decode(Double.self, forKey: .timeoutSeconds)
        guard (0...RequestLimits.waitSeconds).contains(timeoutSeconds) else {
            throw ControlError(
                .badTimeout, "A wait lasts 0 to \(Int(RequestLimits.waitSeconds)) seconds.",
                remedy: "Give a time in that range, and wait again if necessary.")
        }
    }

    private enum CodingKeys: String, CodingKey { case timeoutSeconds = "timeout_seconds" }
}
