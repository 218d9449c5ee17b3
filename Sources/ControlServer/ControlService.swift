package import ControlAPI
package import Core

/// What the daemon does for its clients. Each call is bound to one generation, which its answer names.
///
/// Calls come from many connections at once, on the cooperative pool: an implementation moves blocking work to its own
/// threads. A thrown `Failure` becomes the answer's error; any other error is reported as a defect. When the client
/// disconnects or the server stops, the task is cancelled.
package protocol ControlService: Sendable {
    /// The status of the daemon. Answers at once, whatever else is going on.
    func status() async throws -> Status

    /// Identifiers of items, in the order of `ids`; an unknown item has nil codes.
    func items(_ ids: [ItemID]) async throws -> ItemsAnswer

    /// Items of identifiers, in the order of `identifiers`.
    func identifiers(_ identifiers: [Identifier]) async throws -> IdentifiersAnswer

    /// The codes that may follow each prefix, in the order of `prefixes`.
    func next(_ prefixes: [Identifier]) async throws -> TrieAnswers

    /// At most `limit` live identifiers that begin with `prefix`, in ascending order, after `after`.
    func identifiers(below prefix: Identifier, limit: Int, after: Identifier?) async throws -> IdentifiersAnswer

    /// At most `limit` collisions, in item order, after `after`.
    func collisions(limit: Int, after: ItemID?) async throws -> CollisionsAnswer

    /// At most `limit` quarantined items, in item order, after `after`.
    func quarantine(limit: Int, after: ItemID?) async throws -> QuarantineAnswer

    /// All generations, oldest first.
    func generations() async throws -> GenerationsAnswer

    /// Starts to receive a file of an upload, which replaces the upload's earlier file of that name.
    func receive(_ file: ModelFile, of upload: UploadName) async throws -> any UploadSink

    /// Makes a generation from an upload that has both files: validates it, registers it and starts to build its index.
    ///
    /// Returns without waiting for the index; the first generation becomes active automatically once its index is built.
    func publish(upload: UploadName) async throws -> GenerationInfo

    /// Makes a built generation the active one.
    func promote(_ generation: Int) async throws -> GenerationInfo

    /// Lets deletions that wait for confirmation be applied; a conflict if there are none.
    func confirmDeletions() async throws -> ConfirmAnswer

    /// Checks the daemon's files, catalog and socket; if `deep`, also that the data structures of each index agree.
    func doctor(deep: Bool) async throws -> ChecksAnswer

    /// Checks that the index of a generation (nil: the active one) agrees with itself and with the catalog.
    func verify(generation: Int?) async throws -> ChecksAnswer

    /// Returns once the active generation is up to date with every commit made to the catalog before the call.
    ///
    /// - Throws: a failure of kind `temporary` if that takes longer than `timeout`.
    func waitCaughtUp(timeout: Duration) async throws -> Status

    /// Passes all live items of the active generation to `write`, in key order, one batch at a time. The first batch may
    /// be empty and must be passed even if there are no items, because it names the generation.
    ///
    /// `write` returns when the client has read enough: hold no transaction that others wait for meanwhile.
    func dump(_ write: @Sendable (DumpBatch) async throws -> Void) async throws
}

/// Receives the bytes of an upload. Used by one task; ends with exactly one of `finish` and `abort`.
package protocol UploadSink: Sendable {
    /// Stores the next bytes; the next call comes after this one has returned.
    func write(_ bytes: [UInt8]) async throws

    /// All bytes were received: makes them durable.
    func finish() async throws

    /// The client disconnected or sent too much: removes what was received.
    func abort() async
}
