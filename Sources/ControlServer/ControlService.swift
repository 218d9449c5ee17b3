package import ControlAPI
package import Core

/// What the daemon does for whoever asks over the socket. Each call is bound to one generation, which its answer names.
///
/// Calls come from many connections at once, on the cooperative pool: an implementation moves blocking work to its own
/// threads. A thrown `Failure` becomes the answer's error; anything else is reported as a defect. When the client goes
/// away or the server stops, the task is cancelled.
package protocol ControlService: Sendable {
    /// How the daemon is. Answers at once, whatever else goes on.
    func status() async throws -> Status

    /// Identifiers of items, in the order asked; an unknown item has nil codes.
    func items(_ ids: [ItemID]) async throws -> ItemsAnswer

    /// Items of identifiers, in the order asked.
    func identifiers(_ identifiers: [Identifier]) async throws -> IdentifiersAnswer

    /// What may follow each prefix, in the order asked.
    func next(_ prefixes: [Identifier]) async throws -> TrieAnswers

    /// At most `limit` live identifiers that begin with `prefix`, in the trie's order, after `after`.
    func under(prefix: Identifier, limit: Int, after: Identifier?) async throws -> IdentifiersAnswer

    /// At most `limit` collisions, in item order, after `after`.
    func collisions(limit: Int, after: ItemID?) async throws -> CollisionsAnswer

    /// At most `limit` quarantined items, in item order, after `after`.
    func quarantine(limit: Int, after: ItemID?) async throws -> QuarantineAnswer

    /// All generations, oldest first.
    func generations() async throws -> GenerationsAnswer

    /// Starts to receive a file of an upload, replacing what came before under that name and file.
    ///
    /// - Parameter length: its size in bytes where the client said so.
    func receive(_ file: UploadFile, of upload: UploadName, length: Int?) async throws -> any UploadSink

    /// Makes a generation of an upload that has both files: validates it, registers it and starts to build its index.
    ///
    /// Returns without waiting for the index; the first generation becomes active by itself when its index is built.
    func publish(upload: UploadName) async throws -> GenerationInfo

    /// Makes a built generation the active one.
    func promote(_ generation: Int) async throws -> GenerationInfo

    /// Has deletions applied that wait for confirmation; a conflict if none do.
    func confirmDeletions() async throws -> ConfirmAnswer

    /// Looks whether all is well; if `deep`, proves that the parts of each index say the same.
    func doctor(deep: Bool) async throws -> ChecksAnswer

    /// Proves that the index of a generation (nil: the active one) and the catalog say the same.
    func verify(generation: Int?) async throws -> ChecksAnswer

    /// Returns when every commit made to the catalog before the call is answered for.
    ///
    /// Throws a failure of kind `temporary` when that takes longer than `timeout`.
    func waitCaughtUp(timeout: Duration) async throws -> Status

    /// Gives all live items of the active generation to `write`, in key order, a batch at a time; the first batch may
    /// be empty and must come even when there are no items, since it names the generation.
    ///
    /// `write` returns when the client has taken enough: hold no transaction that others wait for meanwhile.
    func dump(_ write: @Sendable (DumpBatch) async throws -> Void) async throws
}

/// Where the bytes of an upload go. Used by one task; ends with exactly one of `finish` and `abort`.
package protocol UploadSink: Sendable {
    /// Takes the next bytes; the next call comes when this one has returned.
    func write(_ bytes: [UInt8]) async throws

    /// All bytes are there: makes them durable.
    func finish() async throws

    /// The client went away or sent too much: removes what came.
    func abort() async
}
